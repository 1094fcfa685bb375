package peer

import (
	"crypto/sha256"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
)

// GiveUp is how long a partition lasts too long for a connection.
const GiveUp = giveUp

// Claims are what a test lets a key sign.
type Claims struct {
	Origin, Target   ident.RegionID
	KeyID, Procedure string
	Body             []byte
	Issued           time.Time
}

// SignClaims makes a header of any claims, right or wrong.
func SignClaims(k *Key, c Claims) string {
	header, err := k.sign(&claims{
		origin: c.Origin, target: c.Target, keyID: c.KeyID, procedure: c.Procedure, body: sha256.Sum256(c.Body), issued: c.Issued,
	})
	if err != nil {
		return ""
	}
	return header
}

// ParseHeader parses a header and makes it again of its claims and the signature; false if it does not parse.
func ParseHeader(header string) (again string, ok bool) {
	c, _, signature, ok := parseHeader(header)
	if !ok {
		return "", false
	}
	data, err := c.marshal()
	if err != nil {
		return err.Error(), true
	}
	return headerVersion + "." + headerEncoding.EncodeToString(data) + "." + headerEncoding.EncodeToString(signature), true
}
