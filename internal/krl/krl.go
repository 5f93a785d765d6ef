// Package krl writes OpenSSH key revocation lists, which sshd reads as RevokedKeys and ssh as
// RevokedHostKeys. The format is OpenSSH's PROTOCOL.krl.
package krl

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/fault"
)

// Numbers of PROTOCOL.krl.
const (
	magic         = 0x5353484b524c0a00 // "SSHKRL\n\0"
	formatVersion = 1

	sectionCertificates = 1
	sectionSHA256       = 5

	certSerialList   = 0x20
	certSerialRange  = 0x21
	certSerialBitmap = 0x22
	certKeyID        = 0x23
)

// List is what is revoked.
type List struct {
	Version   uint64    // grows from list to list
	Generated time.Time // kept to the second
	Comment   string
	CAs       []Certificates
	Keys      [][32]byte // SHA-256 of plain keys in wire form, revoked with and without a certificate
}

// Certificates are the revoked certificates of one CA key.
type Certificates struct {
	CA      ssh.PublicKey // nil: of any
	Serials []uint64      // in any order, also several times; 0 names no certificate
	KeyIDs  []string      // all certificates with these key IDs
}

// Marshal writes the list in its binary form.
func (l *List) Marshal() []byte {
	w := new(writer)
	w.uint64(magic)
	w.uint32(formatVersion)
	w.uint64(l.Version)
	w.uint64(uint64(max(l.Generated.Unix(), 0)))
	w.uint64(0) // flags: none are defined
	w.text(nil) // reserved
	w.text([]byte(l.Comment))
	w.sections(l)
	return w.out
}

// Append adds what l revokes to a list in binary form, whose version and comment stay.
func Append(data []byte, l *List) ([]byte, error) {
	if _, err := Parse(data); err != nil {
		return nil, err
	}
	w := &writer{out: slices.Clone(data)}
	w.sections(l)
	return w.out, nil
}

func (w *writer) sections(l *List) {
	for i := range l.CAs {
		w.certificates(&l.CAs[i])
	}
	if len(l.Keys) > 0 {
		in := new(writer)
		// OpenSSH writes them in order; so the same content gives the same bytes.
		sorted := slices.Clone(l.Keys)
		slices.SortFunc(sorted, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
		for _, k := range slices.Compact(sorted) {
			in.text(k[:])
		}
		w.section(sectionSHA256, in.out)
	}
}

func (w *writer) certificates(c *Certificates) {
	serials := slices.Clone(c.Serials)
	slices.Sort(serials)
	serials = slices.Compact(serials)
	if len(serials) > 0 && serials[0] == 0 {
		serials = serials[1:] // OpenSSH refuses a list that names the serial number 0
	}
	if len(serials) == 0 && len(c.KeyIDs) == 0 {
		return
	}
	in := new(writer)
	if c.CA == nil {
		in.text(nil)
	} else {
		in.text(c.CA.Marshal())
	}
	in.text(nil) // reserved
	in.serials(serials)
	if len(c.KeyIDs) > 0 {
		ids := new(writer)
		sorted := slices.Clone(c.KeyIDs)
		slices.Sort(sorted)
		for _, id := range slices.Compact(sorted) {
			ids.text([]byte(id))
		}
		in.section(certKeyID, ids.out)
	}
	w.section(sectionCertificates, in.out)
}

// clusterGap is how far apart two serial numbers may be to share a bitmap: beyond it, their
// eight bytes each are fewer.
const clusterGap = 64

// serials writes sorted serial numbers, each cluster of neighbours in the shortest form.
func (w *writer) serials(sorted []uint64) {
	single := new(writer)
	for len(sorted) > 0 {
		n := 1
		for n < len(sorted) && sorted[n]-sorted[n-1] <= clusterGap && sorted[n]-sorted[0] < maxBitmap {
			n++
		}
		cluster := sorted[:n]
		sorted = sorted[n:]
		first, last := cluster[0], cluster[n-1]
		const header = 5 // type and length of a section
		list, span := 8*n, header+16
		bitmap := header + 8 + 4 + int((last-first)/8) + 2
		switch {
		case last-first == uint64(n-1) && span < list:
			in := new(writer)
			in.uint64(first)
			in.uint64(last)
			w.section(certSerialRange, in.out)
		case bitmap < list:
			w.bitmap(cluster)
		default:
			for _, s := range cluster {
				single.uint64(s)
			}
		}
	}
	if len(single.out) > 0 {
		w.section(certSerialList, single.out)
	}
}

// maxBitmap bounds the serial numbers of one bitmap; OpenSSH takes twice as many bits.
const maxBitmap = 1 << 23

// bitmap writes serial numbers as bits of one large number, counted from its low end.
func (w *writer) bitmap(cluster []uint64) {
	first, last := cluster[0], cluster[len(cluster)-1]
	size := int((last-first)/8) + 1
	// RFC 4251, Section 5: an mpint has no needless zeros in front, but one if it would be
	// negative without.
	if (last-first)%8 == 7 {
		size++
	}
	bits := make([]byte, size)
	for _, s := range cluster {
		i := s - first
		bits[size-1-int(i/8)] |= 1 << (i % 8)
	}
	in := new(writer)
	in.uint64(first)
	in.text(bits)
	w.section(certSerialBitmap, in.out)
}

// Header is what a list says about itself.
type Header struct {
	Version   uint64
	Generated time.Time
	Comment   string
}

// Parse reads the head of a list in binary form, and checks that its sections are whole.
func Parse(data []byte) (*Header, error) {
	r := &reader{rest: data}
	if r.uint64() != magic || r.uint32() != formatVersion {
		return nil, fault.New(fault.Invalid, "this is no OpenSSH key revocation list of a known version")
	}
	h := &Header{Version: r.uint64()}
	generated := r.uint64()
	r.uint64() // flags
	r.text()   // reserved
	h.Comment = string(r.text())
	for len(r.rest) > 0 && !r.short {
		r.take(1)
		r.text()
	}
	if r.short || generated > 1<<62 {
		return nil, fault.New(fault.Invalid, "the key revocation list is cut off or damaged")
	}
	h.Generated = time.Unix(int64(generated), 0).UTC()
	return h, nil
}

// writer writes the data types of RFC 4251, Section 5.
type writer struct{ out []byte }

func (w *writer) uint32(v uint32) { w.out = binary.BigEndian.AppendUint32(w.out, v) }
func (w *writer) uint64(v uint64) { w.out = binary.BigEndian.AppendUint64(w.out, v) }

func (w *writer) text(b []byte) {
	w.uint32(uint32(len(b)))
	w.out = append(w.out, b...)
}

func (w *writer) section(kind byte, body []byte) {
	w.out = append(w.out, kind)
	w.text(body)
}

// reader reads them; what is missing is zero, and short tells.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) take(n uint64) []byte {
	if r.short || n > uint64(len(r.rest)) {
		r.short = true
		return nil
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) text() []byte { return r.take(uint64(r.uint32())) }
