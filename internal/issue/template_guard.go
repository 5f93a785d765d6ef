package issue

import (
	"fmt"
	"reflect"
	"regexp"
	"regexp/syntax"
	"strings"
)

// guards look at a function's arguments before it runs, where the result or the work can be
// out of proportion to them. Functions without a guard are linear in arguments that are
// bounded themselves. The arguments have the function's own types.
var guards = map[string]func(args []reflect.Value) error{
	"repeat":      func(a []reflect.Value) error { return product(a[0].Int(), int64(a[1].Len())) },
	"until":       func(a []reflect.Value) error { return count(0, a[0].Int(), 1) },
	"untilStep":   func(a []reflect.Value) error { return count(a[0].Int(), a[1].Int(), a[2].Int()) },
	"seq":         guardSeq,
	"indent":      guardIndent,
	"nindent":     guardIndent,
	"wrapWith":    guardWrapWith,
	"replace":     guardReplace,
	"join":        guardJoin,
	"uniq":        guardUniq,
	"mustUniq":    guardUniq,
	"without":     guardWithout,
	"mustWithout": guardWithout,

	"randAlpha":    guardLength,
	"randAlphaNum": guardLength,
	"randNumeric":  guardLength,
	"randAscii":    guardLength,
	"randBytes":    guardLength,

	"print":   guardPrint,
	"println": guardPrint,
	"printf":  guardPrintf,

	"regexMatch":                 guardRegex(1),
	"mustRegexMatch":             guardRegex(1),
	"regexFind":                  guardRegex(1),
	"mustRegexFind":              guardRegex(1),
	"regexFindAll":               guardRegex(1),
	"mustRegexFindAll":           guardRegex(1),
	"regexSplit":                 guardRegex(1),
	"mustRegexSplit":             guardRegex(1),
	"regexReplaceAll":            guardRegexReplace,
	"mustRegexReplaceAll":        guardRegexReplace,
	"regexReplaceAllLiteral":     guardRegexReplace,
	"mustRegexReplaceAllLiteral": guardRegexReplace,
}

// product bounds a result of n pieces of a size.
func product(n, size int64) error {
	if n < 0 {
		return fmt.Errorf("%d is negative", n)
	}
	if size > 0 && n > maxValueBytes/size {
		return beyond("the result would have more than %d bytes", maxValueBytes)
	}
	return nil
}

// count bounds the numbers from start to stop.
func count(start, stop, step int64) error {
	const most = 1 << 52 // differences and one step more cannot overflow
	for _, n := range []int64{start, stop, step} {
		if n > most || n < -most {
			return beyond("the number %d is too large to count with", n)
		}
	}
	span, stride := max(stop-start, start-stop), max(step, -step, 1)
	if span/stride > maxCount {
		return beyond("the result would have more than %d elements", maxCount)
	}
	return nil
}

func guardSeq(a []reflect.Value) error {
	params := a[0] // variadic
	switch params.Len() {
	case 1:
		return count(1, params.Index(0).Int(), 1)
	case 2:
		return count(params.Index(0).Int(), params.Index(1).Int(), 1)
	case 3:
		return count(params.Index(0).Int(), params.Index(2).Int(), params.Index(1).Int())
	}
	return nil
}

func guardLength(a []reflect.Value) error {
	if n := a[0].Int(); n < 0 || n > maxCount {
		return beyond("a random text of %d characters is not made; %d is the most", n, maxCount)
	}
	return nil
}

func guardIndent(a []reflect.Value) error {
	return product(a[0].Int(), 1+int64(strings.Count(a[1].String(), "\n")))
}

func guardWrapWith(a []reflect.Value) error {
	width, sep, text := max(a[0].Int(), 1), a[1], a[2]
	return product(int64(text.Len())/width+1, int64(sep.Len()))
}

func guardReplace(a []reflect.Value) error {
	old, with, text := a[0].String(), a[1], a[2].String()
	return product(int64(strings.Count(text, old)), int64(with.Len()))
}

func guardJoin(a []reflect.Value) error {
	return product(int64(elements(a[1])), int64(a[0].Len()))
}

// elements is the length of a list behind an interface; 1 for anything else.
func elements(v reflect.Value) int {
	for v.IsValid() && (v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer) {
		v = v.Elem()
	}
	if v.IsValid() && (v.Kind() == reflect.Slice || v.Kind() == reflect.Array) {
		return v.Len()
	}
	return 1
}

// guardUniq and guardWithout: these compare all with all.
func guardUniq(a []reflect.Value) error {
	if n := elements(a[0]); n > 2048 {
		return beyond("a list of %d elements is too long to compare all with all", n)
	}
	return nil
}

func guardWithout(a []reflect.Value) error {
	if n := elements(a[0]) * a[1].Len(); n > 2048*2048 {
		return beyond("the lists are too long to compare all with all")
	}
	return nil
}

func guardPrint(a []reflect.Value) error {
	s := scale{}
	return s.add(a[0], 0)
}

// guardPrintf bounds a formatted text: each verb may print the largest argument, and pad it.
func guardPrintf(a []reflect.Value) error {
	format, args := a[0].String(), a[1]
	var largest int64
	for i := range args.Len() {
		s := scale{}
		if err := s.add(args.Index(i), 0); err != nil {
			return err
		}
		largest = max(largest, s.bytes+8*s.nodes)
	}
	padding, verbs := formatCost(format)
	if padding > maxValueBytes {
		return beyond("the format pads beyond %d bytes", maxValueBytes)
	}
	return product(verbs, largest)
}

// formatCost sums the widths and precisions in a format and counts its verbs. A width from
// an argument counts as the largest that fmt accepts.
func formatCost(format string) (padding, verbs int64) {
	const widest = 1_000_000
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		verbs++
		number := int64(0)
		for i++; i < len(format) && strings.IndexByte("+-# 0123456789.*[]", format[i]) >= 0; i++ {
			switch c := format[i]; {
			case c == '*':
				padding += widest
				number = 0
			case '0' <= c && c <= '9':
				number = min(number*10+int64(c-'0'), widest)
			default:
				padding, number = padding+number, 0
			}
		}
		padding += number
	}
	return padding, verbs
}

// guardRegex bounds a match: it costs at most the size of the compiled pattern times the
// length of the text.
func guardRegex(text int) func([]reflect.Value) error {
	return func(a []reflect.Value) error { return regexCost(a[0].String(), a[text].String()) }
}

func regexCost(pattern, text string) error {
	const most = 32 << 20
	if len(pattern) > 16<<10 {
		return beyond("a regular expression of %d bytes is too long", len(pattern))
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil // the function itself says what is wrong, or does not mind
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil
	}
	if int64(len(prog.Inst))*int64(len(text)+1) > most {
		return beyond("the regular expression is too costly for a text of %d bytes", len(text))
	}
	return nil
}

func guardRegexReplace(a []reflect.Value) error {
	pattern, text, with := a[0].String(), a[1].String(), a[2].String()
	if err := regexCost(pattern, text); err != nil {
		return err
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil
	}
	if err := product(int64(len(re.FindAllStringIndex(text, -1))), int64(len(with))); err != nil {
		return err
	}
	return product(int64(strings.Count(with, "$")), int64(len(text)))
}
