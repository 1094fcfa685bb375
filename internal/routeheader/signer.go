package routeheader

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	routev1 "github.com/domicile-api/domicile/gen/domicile/route/v1"
	"github.com/domicile-api/domicile/internal/ident"
)

const (
	// signedFor is how long a signed header is used again: short beside the MaxAge of any verifier.
	signedFor = time.Second
	// signedHalf is half of how many signed headers are remembered.
	signedHalf = 8192
)

// SignerConfig is what a Signer is made of. All fields are needed.
type SignerConfig struct {
	// Region is the origin: the region whose edge signs.
	Region ident.RegionID
	// KeyID names Key in the directory; see KeyID.
	KeyID string
	// Key is the region's own.
	Key ed25519.PrivateKey
	// Clock is time.Now in production.
	Clock func() time.Time
}

// Signer makes the route headers of one region. It is safe for concurrent use.
type Signer struct {
	cfg    SignerConfig
	signed *recent[subject, signature]
}

// subject is what a header is about, besides when.
type subject struct {
	target ident.RegionID
	tenant ident.TenantID
	epoch  ident.Epoch
}

type signature struct {
	header string
	issued time.Time
}

// NewSigner returns a signer. Like ed25519.Sign, it panics when the key has not the length of a private key.
func NewSigner(cfg SignerConfig) *Signer {
	if len(cfg.Key) != ed25519.PrivateKeySize {
		panic(fmt.Sprintf("routeheader: a private key of %d bytes", len(cfg.Key)))
	}
	return &Signer{cfg: cfg, signed: newRecent[subject, signature](signedHalf, signedFor)}
}

// Sign returns a header for calls of a tenant (empty: an operator's call) that target is to answer, under the epoch that this
// edge knows. A header is used again for up to a second.
func (s *Signer) Sign(target ident.RegionID, tenant ident.TenantID, epoch ident.Epoch) string {
	about, now := subject{target, tenant, epoch}, s.cfg.Clock()
	if have, ok := s.signed.get(about); ok {
		if age := now.Sub(have.issued); age >= 0 && age < signedFor {
			return have.header
		}
	}
	header := s.sign(about, now)
	s.signed.put(about, signature{header: header, issued: now}, now)
	return header
}

func (s *Signer) sign(about subject, now time.Time) string {
	claims, err := proto.MarshalOptions{Deterministic: true}.Marshal(&routev1.RouteClaims{
		Origin:    string(s.cfg.Region),
		KeyId:     s.cfg.KeyID,
		Target:    string(about.target),
		Tenant:    string(about.tenant),
		Epoch:     uint64(about.epoch),
		IssueTime: timestamppb.New(now.Truncate(time.Millisecond)),
	})
	if err != nil {
		// Only ids that are not UTF-8 come here; none of a topology or directory is. No header is a refusal at the target.
		return ""
	}
	return encode(claims, ed25519.Sign(s.cfg.Key, signingInput(claims)))
}
