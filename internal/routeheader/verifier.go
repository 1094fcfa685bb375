package routeheader

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	routev1 "github.com/domicile-api/domicile/gen/domicile/route/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
)

const (
	// DefaultMaxAge is how long after its issue a header is accepted.
	DefaultMaxAge = 30 * time.Second
	// DefaultMaxSkew is how far in the future a header's issue may lie: how much the clocks of regions may differ.
	DefaultMaxSkew = 5 * time.Second
	// verifiedHalf is half of how many verified headers are remembered; each takes about 700 bytes.
	verifiedHalf = 8192
)

// KeySource knows the public keys that regions sign with; the directory is one.
type KeySource interface {
	// RouteKey returns the key of that id that this region signs with, and whether there is one.
	RouteKey(region ident.RegionID, keyID string) (ed25519.PublicKey, bool)
}

// VerifierConfig is what a Verifier is made of.
type VerifierConfig struct {
	// Region is this region: the only target that is accepted.
	Region ident.RegionID
	// Keys knows each region's keys.
	Keys KeySource
	// Clock is time.Now in production.
	Clock func() time.Time
	// MaxAge is DefaultMaxAge when zero, MaxSkew DefaultMaxSkew.
	MaxAge, MaxSkew time.Duration
}

// Verifier checks the route headers that one region receives. It is safe for concurrent use.
type Verifier struct {
	cfg      VerifierConfig
	verified *recent[string, verified]
}

// verified is a header whose signature holds: what of it may change with time is judged anew each time.
type verified struct {
	claims *routev1.RouteClaims
	issued time.Time
	key    ed25519.PublicKey
}

// NewVerifier returns a verifier.
func NewVerifier(cfg VerifierConfig) *Verifier {
	if cfg.MaxAge == 0 {
		cfg.MaxAge = DefaultMaxAge
	}
	if cfg.MaxSkew == 0 {
		cfg.MaxSkew = DefaultMaxSkew
	}
	return &Verifier{cfg: cfg, verified: newRecent[string, verified](verifiedHalf, cfg.MaxAge)}
}

// Verify returns the claims of a header that another edge, or this region's own, signed for this region within MaxAge; any
// other header, and none, is MISROUTED. The claims are shared between callers and must not be changed.
func (v *Verifier) Verify(header string) (*routev1.RouteClaims, error) {
	if header == "" {
		return nil, misrouted("the call has no route header", nil)
	}
	now := v.cfg.Clock()
	if have, ok := v.verified.get(header); ok {
		if err := v.current(have, now); err != nil {
			return nil, err
		}
		return have.claims, nil
	}
	claims, sent, sum, err := parse(header)
	if err != nil {
		return nil, err
	}
	key, err := v.key(claims)
	if err != nil {
		return nil, err
	}
	if !ed25519.Verify(key, signingInput(sent), sum) {
		return nil, misrouted("the route header is not authentic", nil)
	}
	if claims.GetTarget() != string(v.cfg.Region) {
		return nil, misrouted("the route header is for another region", nil)
	}
	fresh := verified{claims: claims, issued: claims.GetIssueTime().AsTime(), key: key}
	if err := v.inTime(fresh.issued, now); err != nil {
		return nil, err
	}
	v.verified.put(header, fresh, now)
	return claims, nil
}

// current judges what may have changed since a header was verified: the time, and whether its key is still trusted.
func (v *Verifier) current(have verified, now time.Time) error {
	if err := v.inTime(have.issued, now); err != nil {
		return err
	}
	key, err := v.key(have.claims)
	if err != nil {
		return err
	}
	if !key.Equal(have.key) {
		return misrouted("the route header is not authentic", nil)
	}
	return nil
}

func (v *Verifier) key(claims *routev1.RouteClaims) (ed25519.PublicKey, error) {
	key, ok := v.cfg.Keys.RouteKey(ident.RegionID(claims.GetOrigin()), claims.GetKeyId())
	if !ok {
		return nil, misrouted("the route header's origin or key is not known", nil)
	}
	if len(key) != ed25519.PublicKeySize {
		// ed25519.Verify would panic. A key of another algorithm never verifies anything.
		return nil, misrouted("the route header's origin or key is not known", errors.New("the key source's key is not an Ed25519 one"))
	}
	return key, nil
}

func (v *Verifier) inTime(issued, now time.Time) error {
	age := now.Sub(issued)
	switch {
	case age > v.cfg.MaxAge:
		return misrouted("the route header is stale", fmt.Errorf("issued %s ago, %s allowed", age, v.cfg.MaxAge))
	case age < -v.cfg.MaxSkew:
		return misrouted("the route header is from the future", fmt.Errorf("issued %s ahead, %s allowed", -age, v.cfg.MaxSkew))
	default:
		return nil
	}
}

// parse returns the claims, the same as they were sent, and their signature. Nothing of it is authentic yet.
func parse(header string) (claims *routev1.RouteClaims, sent, sum []byte, err error) {
	sent, sum, refusal := decode(header)
	if refusal != "" {
		return nil, nil, nil, misrouted(refusal, nil)
	}
	claims = &routev1.RouteClaims{}
	if err := proto.Unmarshal(sent, claims); err != nil {
		// The cause is not kept: it may quote what was sent.
		return nil, nil, nil, misrouted(malformed, nil)
	}
	known := len(claims.ProtoReflect().GetUnknown()) == 0 && len(claims.GetIssueTime().ProtoReflect().GetUnknown()) == 0
	whole := claims.GetOrigin() != "" && claims.GetKeyId() != "" && claims.GetTarget() != "" && claims.GetIssueTime().IsValid()
	if !known || !whole {
		return nil, nil, nil, misrouted(malformed, nil)
	}
	return claims, sent, sum, nil
}

func misrouted(message string, cause error) *fault.Error {
	return &fault.Error{Reason: errorsv1.Reason_REASON_MISROUTED, Message: message, Cause: cause}
}
