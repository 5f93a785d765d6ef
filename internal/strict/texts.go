package strict

import "slices"

// Texts reads an object that has nothing but members of these names, each once at most, with
// texts that stand for themselves: ASCII without escapes. Bit i of found says that names[i] is
// there, and into[i] is its text. Most messages are signed in such an envelope, and Decode would
// read each several times. If ok is false the object may still be good, and Decode has the word.
func Texts(data []byte, names []string, into []string) (found uint, ok bool) {
	s := &scan{data: data}
	if s.next() != '{' {
		return 0, false
	}
	s.at++
	if s.next() == '}' {
		return 0, s.endsAfter()
	}
	for {
		name, ok := s.plainText()
		i := slices.Index(names, string(name))
		if !ok || i < 0 || found&(1<<i) != 0 || s.next() != ':' {
			return 0, false
		}
		s.at++
		text, ok := s.plainText()
		if !ok {
			return 0, false
		}
		into[i], found = string(text), found|1<<i
		switch s.next() {
		case ',':
			s.at++
		case '}':
			return found, s.endsAfter()
		default:
			return 0, false
		}
	}
}

// endsAfter passes over a closing bracket and reports whether nothing follows it.
func (s *scan) endsAfter() bool {
	s.at++
	return s.next() == 0 && s.at == len(s.data)
}

// plainText passes over a string that stands for itself.
func (s *scan) plainText() ([]byte, bool) {
	if s.next() != '"' {
		return nil, false
	}
	s.at++
	for from := s.at; s.at < len(s.data); s.at++ {
		switch c := s.data[s.at]; {
		case c == '"':
			s.at++
			return s.data[from : s.at-1], true
		case c < ' ' || c >= 0x7f || c == '\\':
			return nil, false
		}
	}
	return nil, false
}
