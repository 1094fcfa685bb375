package consistency_test

import (
	"bytes"
	"net/http"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/consistency"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

const (
	acme      = ident.TenantID("acme-eu")
	bank      = ident.TenantID("bank-eu")
	control   = ident.RegionID("us-east-1")
	frankfurt = ident.RegionID("eu-central-1")
	dublin    = ident.RegionID("eu-west-1")
	singapore = ident.RegionID("ap-southeast-1")
	saoPaulo  = ident.RegionID("sa-east-1")
)

var noon = time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)

var topo = sync.OnceValue(topologyfile.Default)

func regions() []ident.RegionID {
	ids := make([]ident.RegionID, 0, topo().Len())
	for _, i := range topo().Regions() {
		ids = append(ids, topo().ID(i))
	}
	return ids
}

// keys are those of a test; the newest is the one with the highest id.
type keys struct {
	secrets map[uint32]consistency.Secret
	states  map[uint32]consistency.KeyState
}

func newKeys(ids ...uint32) *keys {
	k := &keys{secrets: make(map[uint32]consistency.Secret), states: make(map[uint32]consistency.KeyState)}
	for _, id := range ids {
		k.secrets[id], k.states[id] = secretOf(byte(id)), consistency.KeyOpen
	}
	return k
}

func secretOf(b byte) consistency.Secret {
	s, err := consistency.NewSecret(bytes.Repeat([]byte{b}, 32))
	if err != nil {
		panic(err)
	}
	return s
}

func (k *keys) Newest() (id uint32, secret consistency.Secret, ok bool) {
	for other, state := range k.states {
		if state == consistency.KeyOpen && other > id {
			id, ok = other, true
		}
	}
	return id, k.secrets[id], ok
}

func (k *keys) Secret(id uint32) (consistency.Secret, consistency.KeyState) {
	return k.secrets[id], k.states[id]
}

func newCodec(t testing.TB, k consistency.Keys) *consistency.Codec {
	t.Helper()
	c, err := consistency.NewCodec(consistency.CodecConfig{Keys: k, Regions: regions()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// mint makes a token that must come out.
func mint(t interface {
	Helper()
	Fatal(args ...any)
}, c *consistency.Codec, tenant ident.TenantID, p ident.Positions) string {
	t.Helper()
	token, err := c.Mint(tenant, p)
	if err != nil {
		t.Fatal(err)
	}
	if len(token) > consistency.MaxTokenChars {
		t.Fatal("a token of", len(token), "characters")
	}
	return token
}

// lane makes positions of one lane.
func lane(epoch ident.Epoch, at ident.Lane, seq ident.Seq) ident.Positions {
	p := ident.Positions{Epoch: epoch}
	p.Lanes[at] = seq
	return p
}

func headers(tokens ...string) http.Header { return http.Header{consistency.Header: tokens} }

func isInvalid(err error) bool { return fault.Is(err, errorsv1.Reason_REASON_TOKEN_INVALID) }

// drawPositions draws positions with numbers of any size.
func drawPositions(t *rapid.T, name string, origins []ident.RegionID) ident.Positions {
	seq := rapid.Custom(func(t *rapid.T) ident.Seq {
		return ident.Seq(rapid.Uint64().Draw(t, "seq") >> rapid.IntRange(0, 63).Draw(t, "shift"))
	})
	return rapid.Custom(func(t *rapid.T) ident.Positions {
		p := ident.Positions{Epoch: ident.Epoch(rapid.Uint64Range(1, 3).Draw(t, "epoch"))}
		for i := range p.Lanes {
			p.Lanes[i] = seq.Draw(t, "lane")
		}
		for _, origin := range origins {
			if rapid.Bool().Draw(t, "has origin") {
				p.RaiseOrigin(origin, seq.Draw(t, "origin"))
			}
		}
		return p
	}).Draw(t, name)
}

// covers tells whether a is at or past b everywhere.
func covers(a, b ident.Positions) bool {
	if a.Epoch < b.Epoch {
		return false
	}
	for i := range b.Lanes {
		if a.Lanes[i] < b.Lanes[i] {
			return false
		}
	}
	for origin, seq := range b.Origins {
		if a.Origins[origin] < seq {
			return false
		}
	}
	return true
}
