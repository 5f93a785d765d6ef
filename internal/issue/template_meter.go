package issue

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"time"
)

// limits bound one run of a template.
type limits struct {
	fuel   int64         // loop turns, calls and bytes of results, in one currency
	output int           // bytes
	time   time.Duration // on the wall clock
	depth  int           // templates that call templates
}

// runLimits are far beyond what certificates need: 256 KiB of output, two seconds.
var runLimits = limits{fuel: 8 << 20, output: 256 << 10, time: 2 * time.Second, depth: 100}

// Prices. The sum of all results is thereby bounded, and with it the memory of a run.
const (
	priceTick = 32
	priceCall = 32
	priceNode = 4
)

// Bounds of one value.
const (
	maxValueBytes = 1 << 20
	maxValueNodes = 1 << 16
	maxValueDepth = 64
	maxCount      = 1 << 16 // elements that one function makes
)

// limitError is a bound that a run passed.
type limitError struct{ words string }

func (l *limitError) Error() string { return l.words }

func beyond(format string, args ...any) error { return &limitError{fmt.Sprintf(format, args...)} }

// meter is what one run may still spend. A runner owns it; runs of one runner never overlap.
type meter struct {
	fuel     int64
	depth    int
	limits   limits
	deadline time.Time
}

func (m *meter) start(l limits) {
	*m = meter{fuel: l.fuel, limits: l, deadline: time.Now().Add(l.time)}
}

func (m *meter) spend(price int64) error {
	m.fuel -= price
	if m.fuel < 0 {
		return beyond("the template does more work than a certificate can need")
	}
	return nil
}

// tick is called at the start of each turn of a loop. It prints nothing.
func (m *meter) tick() (string, error) {
	if time.Now().After(m.deadline) {
		return "", beyond("the template runs longer than %s", m.limits.time)
	}
	return "", m.spend(priceTick)
}

// enter is called at the start of a template body, leave at its end.
func (m *meter) enter() (string, error) {
	if m.depth++; m.depth > m.limits.depth {
		return "", beyond("templates call each other more than %d deep", m.limits.depth)
	}
	return m.tick()
}

func (m *meter) leave() string {
	m.depth--
	return ""
}

var errorType = reflect.TypeFor[error]()

// wrap gives a function the same parameters and result, and a price.
func (m *meter) wrap(name string, fn reflect.Value) reflect.Value {
	t := fn.Type()
	in := make([]reflect.Type, t.NumIn())
	for i := range in {
		in[i] = t.In(i)
	}
	guard := guards[name]
	shape := reflect.FuncOf(in, []reflect.Type{t.Out(0), errorType}, t.IsVariadic())
	return reflect.MakeFunc(shape, func(args []reflect.Value) []reflect.Value {
		refuse := func(err error) []reflect.Value {
			return []reflect.Value{reflect.Zero(t.Out(0)), reflect.ValueOf(&err).Elem()}
		}
		if _, err := m.tick(); err != nil {
			return refuse(err)
		}
		if guard != nil {
			if err := guard(args); err != nil {
				return refuse(err)
			}
		}
		var out []reflect.Value
		if t.IsVariadic() {
			out = fn.CallSlice(args)
		} else {
			out = fn.Call(args)
		}
		if len(out) == 2 && !out[1].IsNil() {
			return out
		}
		if err := m.weigh(out[0]); err != nil {
			return refuse(err)
		}
		return []reflect.Value{out[0], reflect.Zero(errorType)}
	})
}

// wrapText is wrap for functions that make a text of one value, toJson above all, without
// the detour by reflection; nil for others, and for those with a guard.
func (m *meter) wrapText(name string, fn any) any {
	f, ok := fn.(func(any) string)
	if !ok || guards[name] != nil {
		return nil
	}
	return func(v any) (string, error) {
		if _, err := m.tick(); err != nil {
			return "", err
		}
		out := f(v)
		if len(out) > maxValueBytes {
			return "", beyond("a value has more than %d bytes", maxValueBytes)
		}
		return out, m.spend(int64(len(out)) + priceNode)
	}
}

// weigh bounds a result and pays for it. A value that contains itself, which would end the
// process when printed, is deeper than any bound.
func (m *meter) weigh(v reflect.Value) error {
	s := scale{}
	if err := s.add(v, 0); err != nil {
		return err
	}
	return m.spend(s.bytes + priceNode*s.nodes)
}

// scale sums up a value along all paths, as printing it would.
type scale struct{ bytes, nodes int64 }

var timeType = reflect.TypeFor[time.Time]()

func (s *scale) add(v reflect.Value, depth int) error {
	s.nodes++
	switch {
	case depth > maxValueDepth:
		return beyond("a value is nested more than %d deep", maxValueDepth)
	case s.nodes > maxValueNodes:
		return beyond("a value has more than %d elements", maxValueNodes)
	case !v.IsValid() || v.Type() == timeType:
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		s.bytes += int64(v.Len())
	case reflect.Interface, reflect.Pointer:
		if !v.IsNil() {
			return s.add(v.Elem(), depth+1)
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			s.bytes += int64(v.Len())
			break
		}
		for i := range v.Len() {
			if err := s.add(v.Index(i), depth+1); err != nil {
				return err
			}
		}
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			if err := s.add(entries.Key(), depth+1); err != nil {
				return err
			}
			if err := s.add(entries.Value(), depth+1); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if err := s.add(v.Field(i), depth+1); err != nil {
				return err
			}
		}
	}
	if s.bytes > maxValueBytes {
		return beyond("a value has more than %d bytes", maxValueBytes)
	}
	return nil
}

// escape writes a value so that it can stand between the quotes of a JSON string.
func (m *meter) escape(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		s = fmt.Sprint(v)
	}
	out, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	return string(out[1 : len(out)-1]), m.spend(priceCall + int64(len(out)))
}

// cappedBuffer takes output up to a bound.
type cappedBuffer struct {
	buf  bytes.Buffer
	most int
}

func (b *cappedBuffer) Write(p []byte) (int, error) {
	if b.buf.Len()+len(p) > b.most {
		return 0, beyond("the template writes more than %d bytes", b.most)
	}
	return b.buf.Write(p)
}
