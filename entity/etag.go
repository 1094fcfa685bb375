package entity

import (
	"encoding/base64"
	"encoding/binary"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
)

// etagOf makes the etag of a version: opaque, at most 27 characters of the URL-safe alphabet, without quotes. Versions of an
// entity never repeat, so neither do its etags.
func etagOf(v ident.Version) string {
	var b [2 * binary.MaxVarintLen64]byte
	n := binary.PutUvarint(b[:], uint64(v.Epoch))
	n += binary.PutUvarint(b[n:], uint64(v.Seq))
	return base64.RawURLEncoding.EncodeToString(b[:n])
}

// checkEtag refuses a mutation whose etag is given and is not that of the stored version. An etag is compared as text, so a
// malformed one is one that does not match.
func checkEtag(given string, stored ident.Version) error {
	if given == "" || given == etagOf(stored) {
		return nil
	}
	return fault.New(errorsv1.Reason_REASON_ETAG_MISMATCH, "the entity has changed since the etag was given")
}
