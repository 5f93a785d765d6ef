package issue

import (
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"
	"unicode/utf16"
)

// The ASN.1 functions give and take DER in standard base64, so that a result can stand in
// JSON as it is.
func addASN1Functions(funcs template.FuncMap) {
	funcs["asn1Enc"] = func(text string) (string, error) { return base64DER(encodeText(text)) }
	funcs["asn1Marshal"] = func(v any, params ...string) (string, error) {
		return base64DER(asn1.MarshalWithParams(v, strings.Join(params, ",")))
	}
	funcs["asn1Seq"] = func(items ...string) (string, error) { return wrapDER(asn1.TagSequence, items) }
	funcs["asn1Set"] = func(items ...string) (string, error) { return wrapDER(asn1.TagSet, items) }
	funcs["asn1SetOf"] = asn1SetOf
	funcs["asn1Null"] = func() string { return "BQA=" }
	funcs["asn1OctetString"] = func(content string) (string, error) { return base64DER(asn1.Marshal([]byte(content))) }
	funcs["asn1BitString"] = func(content string) (string, error) {
		return base64DER(asn1.Marshal(asn1.BitString{Bytes: []byte(content), BitLength: 8 * len(content)}))
	}
	funcs["asn1BMP"] = func(text string) (string, error) { return base64DER(encodeBMP(text)) }
	funcs["asn1Explicit"] = func(tag int, item string) (string, error) { return retag(tag, item, true) }
	funcs["asn1Implicit"] = func(tag int, item string) (string, error) { return retag(tag, item, false) }
}

func base64DER(der []byte, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(der), nil
}

// decodeItems reads base64 items, each of which must be exactly one DER element.
func decodeItems(items []string) ([][]byte, error) {
	out := make([][]byte, len(items))
	for i, item := range items {
		der, err := base64.StdEncoding.DecodeString(item)
		if err != nil {
			return nil, fmt.Errorf("item %d is not base64", i+1)
		}
		if err := oneElement(der); err != nil {
			return nil, fmt.Errorf("item %d: %w", i+1, err)
		}
		out[i] = der
	}
	return out, nil
}

// oneElement checks that bytes are one DER element and nothing else.
func oneElement(der []byte) error {
	var raw asn1.RawValue
	rest, err := asn1.Unmarshal(der, &raw)
	switch {
	case err != nil:
		return errors.New("it is not DER")
	case len(rest) > 0:
		return fmt.Errorf("%d bytes follow the DER element", len(rest))
	}
	return nil
}

func wrapDER(tag int, items []string) (string, error) {
	parts, err := decodeItems(items)
	if err != nil {
		return "", err
	}
	return base64DER(asn1.Marshal(asn1.RawValue{Tag: tag, IsCompound: true, Bytes: slices.Concat(parts...)}))
}

// asn1SetOf sorts its items as DER asks for: X.690, Section 11.6.
func asn1SetOf(items ...string) (string, error) {
	parts, err := decodeItems(items)
	if err != nil {
		return "", err
	}
	slices.SortFunc(parts, slices.Compare)
	return base64DER(asn1.Marshal(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: slices.Concat(parts...)}))
}

// encodeBMP writes a BMPString: two octets for each character, none beyond U+FFFF.
func encodeBMP(text string) ([]byte, error) {
	var content []byte
	for _, r := range text {
		if utf16.RuneLen(r) != 1 {
			return nil, fmt.Errorf("the character %q is outside the Basic Multilingual Plane", r)
		}
		content = append(content, byte(r>>8), byte(r))
	}
	return asn1.Marshal(asn1.RawValue{Tag: asn1.TagBMPString, Bytes: content})
}

// retag puts an item under a context tag: around it, or in place of its own.
func retag(tag int, item string, explicit bool) (string, error) {
	parts, err := decodeItems([]string{item})
	if err != nil {
		return "", err
	}
	if tag < 0 || tag > 1<<20 {
		return "", fmt.Errorf("%d is no tag", tag)
	}
	value := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, IsCompound: true, Bytes: parts[0]}
	if !explicit {
		var inner asn1.RawValue
		if _, err := asn1.Unmarshal(parts[0], &inner); err != nil {
			return "", err
		}
		value.IsCompound, value.Bytes = inner.IsCompound, inner.Bytes
	}
	return base64DER(asn1.Marshal(value))
}

// encodeText encodes a "[type:]value" text. What stands before the first colon may carry
// parameters of encoding/asn1 after a comma; a word that is no type is taken off and the
// rest is a PrintableString, as existing templates expect.
func encodeText(text string) ([]byte, error) {
	prefix, value, ok := strings.Cut(text, ":")
	if !ok {
		return asn1.MarshalWithParams(text, "printable")
	}
	kind, params, _ := strings.Cut(prefix, ",")
	with := func(own string) string { return strings.Trim(own+","+params, ",") }
	switch kind {
	case "utf8", "ia5", "numeric", "printable":
		return asn1.MarshalWithParams(value, with(kind))
	case "int":
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no integer of 64 bits", value)
		}
		return asn1.MarshalWithParams(n, params)
	case "bool", "boolean":
		b, err := strconv.ParseBool(value)
		if err != nil {
			return nil, fmt.Errorf("%q is neither true nor false", value)
		}
		return asn1.MarshalWithParams(b, params)
	case "oid":
		oid, err := parseOID(value)
		if err != nil {
			return nil, err
		}
		return asn1.MarshalWithParams(oid, params)
	case "utc", "generalized":
		t, err := parseTextTime(value)
		if err != nil {
			return nil, err
		}
		return asn1.MarshalWithParams(t, with(kind))
	case "raw":
		der, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return nil, errors.New("what follows raw: is not base64")
		}
		if err := oneElement(der); err != nil {
			return nil, err
		}
		return der, nil
	}
	return asn1.MarshalWithParams(value, strings.Trim("printable,"+prefix, ","))
}

// parseTextTime reads RFC 3339, or a time as Go prints it by default.
func parseTextTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05.999999999 -0700 MST"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time such as 2030-01-31T12:00:00Z", s)
}

// parseOID reads a dotted object identifier whose arcs fit 31 bits.
func parseOID(s string) (asn1.ObjectIdentifier, error) {
	bad := fmt.Errorf("%q is no object identifier such as 1.2.840.113549", s)
	var oid asn1.ObjectIdentifier
	for part := range strings.SplitSeq(s, ".") {
		arc, err := strconv.ParseInt(part, 10, 32)
		if err != nil || arc < 0 || part[0] == '+' || len(part) > 1 && part[0] == '0' || len(oid) == 128 {
			return nil, bad
		}
		oid = append(oid, int(arc))
	}
	// X.660, Section A.2: below the first two arcs there are only 40.
	if len(oid) < 2 || oid[0] > 2 || oid[0] < 2 && oid[1] > 39 {
		return nil, bad
	}
	return oid, nil
}
