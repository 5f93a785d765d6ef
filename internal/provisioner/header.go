package provisioner

import (
	"encoding/base64"
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/strict"
)

// read takes the encoded header of a token apart, and remembers it: the headers of tokens by
// one key are all alike. Nothing in it is verified.
func (h *Header) read(encoded string) error {
	if known := headers.find(encoded); known != nil {
		*h = *known
		return nil
	}
	decoded, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return badToken(err, "its header is not base64url")
	}
	if err := strict.Decode(decoded, h); err != nil {
		return badToken(err, "its header is no proper JSON object")
	}
	if !slices.Contains(signatureAlgorithms, jose.SignatureAlgorithm(h.Algorithm)) {
		return badToken(nil, "it is not signed with an algorithm this CA accepts")
	}
	if h.Critical != nil {
		return badToken(nil, "its header marks extensions as critical (crit) that this CA does not know")
	}
	if h.Base64 != nil && string(h.Base64) != "true" {
		return badToken(nil, "its header says that the payload is not encoded (b64), which tokens are")
	}
	headers.keep(encoded, h)
	return nil
}

// headers are those last seen. Strangers can displace them, which costs time alone.
var headers = headerCache{seed: maphash.MakeSeed()}

// maxKeptHeader is the longest that is kept, in bytes: certificates in a header make it another
// for each client.
const maxKeptHeader = 512

type headerCache struct {
	seed  maphash.Seed
	slots [64]atomic.Pointer[keptHeader]
}

type keptHeader struct {
	encoded string
	header  Header // never changed, since tokens share what it points to
}

func (c *headerCache) slot(encoded string) *atomic.Pointer[keptHeader] {
	return &c.slots[maphash.String(c.seed, encoded)%uint64(len(c.slots))]
}

// find is a header that was good; nil: it is not known.
func (c *headerCache) find(encoded string) *Header {
	if len(encoded) > maxKeptHeader {
		return nil
	}
	if k := c.slot(encoded).Load(); k != nil && k.encoded == encoded {
		return &k.header
	}
	return nil
}

func (c *headerCache) keep(encoded string, h *Header) {
	if len(encoded) <= maxKeptHeader && h.X5C == nil && h.X5CInsecure == nil && h.Base64 == nil {
		c.slot(encoded).Store(&keptHeader{strings.Clone(encoded), *h})
	}
}
