package consistency_test

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	"github.com/domicile-api/domicile/internal/consistency"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
)

// platform is a control region's directory and the wrapping keys of regions, which are real.
type platform struct {
	now    time.Time
	index  *directory.Index
	writer *directory.Writer
	keeper *consistency.Keeper
	all    []ident.RegionID
	// private and public are the wrapping keys of the regions that have published one.
	private map[ident.RegionID]hpke.PrivateKey
	public  map[ident.RegionID][]byte
	rings   map[ident.RegionID]*consistency.Ring
}

func newPlatform(t *testing.T, with ...ident.RegionID) *platform {
	t.Helper()
	p := &platform{
		now: noon, index: directory.NewIndex(directory.IndexConfig{Topology: topo()}), all: regions(),
		private: make(map[ident.RegionID]hpke.PrivateKey), public: make(map[ident.RegionID][]byte), rings: make(map[ident.RegionID]*consistency.Ring),
	}
	clock := func() time.Time { return p.now }
	db, err := pebblestore.OpenMemory(pebblestore.Config{Clock: clock, SweepInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	p.writer = directory.NewWriter(directory.WriterConfig{
		Table: db.Table("directory"), Region: control, Control: control, Clock: clock, Random: rand.Reader,
		Applied: func(r *directoryv1.Record) { p.index.Apply([]*directoryv1.Record{r}) },
	})
	for _, region := range with {
		p.publish(t, region)
	}
	p.keeper = consistency.NewKeeper(consistency.KeeperConfig{
		Region: control, Writer: p.writer, Regions: p.all, Clock: clock, Random: rand.Reader,
		WrappingKey: func(region ident.RegionID) ([]byte, bool) { key, ok := p.public[region]; return key, ok },
		Wrap: func(public, secret, info []byte) ([]byte, error) {
			key, err := kem().NewPublicKey(public)
			if err != nil {
				return nil, err
			}
			return hpke.Seal(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info, secret)
		},
		Unwrap: p.unwrap(control),
	})
	for _, region := range p.all {
		p.rings[region] = consistency.NewRing(consistency.RingConfig{Region: region, Source: p.index, Unwrap: p.unwrap(region), Clock: clock})
	}
	return p
}

func kem() hpke.KEM { return hpke.DHKEM(ecdh.X25519()) }

// publish gives a region a wrapping key, or another one.
func (p *platform) publish(t *testing.T, region ident.RegionID) {
	t.Helper()
	key, err := kem().GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	p.private[region], p.public[region] = key, key.PublicKey().Bytes()
}

func (p *platform) unwrap(region ident.RegionID) func(wrapped, info []byte) ([]byte, error) {
	return func(wrapped, info []byte) ([]byte, error) {
		key, ok := p.private[region]
		if !ok {
			return nil, errors.New("no wrapping key")
		}
		return hpke.Open(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info, wrapped)
	}
}

// ensure runs the keeper at a time after noon and returns how many records it wrote.
func (p *platform) ensure(t *testing.T, after time.Duration) int {
	t.Helper()
	p.now = noon.Add(after)
	n, err := p.keeper.EnsureKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := p.keeper.EnsureKey(t.Context()); again != 0 || err != nil {
		t.Errorf("the second call wrote %d, %v", again, err)
	}
	return n
}

func (p *platform) codec(t *testing.T, region ident.RegionID) *consistency.Codec {
	t.Helper()
	return newCodec(t, p.rings[region])
}

// accepted says which of the regions take a token.
func (p *platform) accepted(t *testing.T, token string) map[ident.RegionID]string {
	t.Helper()
	out := make(map[ident.RegionID]string)
	for _, region := range p.all {
		switch _, err := p.codec(t, region).Parse(acme, token); {
		case err == nil:
			out[region] = "yes"
		case errors.Is(err, consistency.ErrUnknownKey):
			out[region] = "unknown"
		case isInvalid(err):
			out[region] = "invalid"
		default:
			t.Fatal(err)
		}
	}
	return out
}

// allSay checks that all regions say the same of a token.
func (p *platform) allSay(t *testing.T, token, want string) {
	t.Helper()
	for region, got := range p.accepted(t, token) {
		if got != want {
			t.Errorf("%s says %s of the token, want %s", region, got, want)
		}
	}
}

const day = 24 * time.Hour

// TestKeysRotate runs through three months of keys: a token of each is accepted everywhere for sixty days from when its key was made, and
// a new key is used only once every region has had time to get it.
func TestKeysRotate(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, regions()...)
	if n := p.ensure(t, 0); n != 1 {
		t.Errorf("the first call wrote %d records, want the first key", n)
	}
	first := mint(t, p.codec(t, frankfurt), acme, lane(1, 0, 1))
	p.allSay(t, first, "yes")
	if n := p.ensure(t, 29*day); n != 0 {
		t.Errorf("after 29 days: %d records", n)
	}
	if n := p.ensure(t, 30*day); n != 2 {
		t.Errorf("after 30 days: %d records, want the second key and the first one's end", n)
	}
	if id, _, _ := p.rings[frankfurt].Newest(); id != 1 {
		t.Errorf("key %d is used as soon as it is made", id)
	}
	p.now = noon.Add(30*day + 10*time.Minute)
	if id, _, _ := p.rings[frankfurt].Newest(); id != 2 {
		t.Errorf("key %d is used ten minutes later, want 2", id)
	}
	second := mint(t, p.codec(t, dublin), acme, lane(1, 0, 2))
	p.allSay(t, second, "yes")
	p.now = noon.Add(60*day - time.Second)
	p.allSay(t, first, "yes")
	p.now = noon.Add(60 * day)
	p.allSay(t, first, "invalid")
	p.allSay(t, second, "yes")
	if n := p.ensure(t, 60*day); n != 3 {
		t.Errorf("after 60 days: %d records, want the third key, the second one's end, and the first without its copies", n)
	}
	for _, key := range p.index.TokenKeys() {
		if got, want := len(key.GetCopies()), 6; key.GetId() == 1 && got != 0 || key.GetId() != 1 && got != want {
			t.Errorf("key %d has %d copies", key.GetId(), got)
		}
	}
	p.allSay(t, first, "invalid")
	p.allSay(t, second, "yes")
}

// TestLateRegions gives keys to regions that come later, or change their wrapping key, and not to those that have none.
func TestLateRegions(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	if n, err := p.keeper.EnsureKey(t.Context()); n != 0 || err == nil {
		t.Errorf("without a wrapping key: %d records, %v", n, err)
	}
	p.publish(t, control)
	p.publish(t, frankfurt)
	if n := p.ensure(t, 0); n != 1 {
		t.Errorf("%d records, want the first key", n)
	}
	token := mint(t, p.codec(t, frankfurt), acme, lane(1, 0, 1))
	if got := p.accepted(t, token); got[control] != "yes" || got[frankfurt] != "yes" || got[singapore] != "unknown" {
		t.Errorf("%v", got)
	}
	p.publish(t, singapore)
	if n := p.ensure(t, time.Hour); n != 1 {
		t.Errorf("%d records, want Singapore's copy", n)
	}
	if got := p.accepted(t, token); got[singapore] != "yes" || got[dublin] != "unknown" {
		t.Errorf("%v", got)
	}
	// A region that lost its key pair, in a new process: the copies are made anew.
	p.publish(t, singapore)
	p.rings[singapore] = consistency.NewRing(consistency.RingConfig{
		Region: singapore, Source: p.index, Unwrap: p.unwrap(singapore), Clock: func() time.Time { return p.now },
	})
	if got := p.accepted(t, token); got[singapore] != "unknown" {
		t.Errorf("%v", got)
	}
	if n := p.ensure(t, 2*time.Hour); n != 1 {
		t.Errorf("%d records, want Singapore's new copy", n)
	}
	if got := p.accepted(t, token); got[singapore] != "yes" {
		t.Errorf("%v", got)
	}
	// One whose wrapping key is nonsense gets none, and delays nobody.
	p.public[dublin] = []byte("nonsense")
	p.publish(t, saoPaulo)
	n, err := p.keeper.EnsureKey(t.Context())
	if n != 1 || err == nil || !strings.Contains(err.Error(), string(dublin)) {
		t.Errorf("%d records, %v; want São Paulo's copy and a word about Dublin", n, err)
	}
	if got := p.accepted(t, token); got[saoPaulo] != "yes" {
		t.Errorf("%v", got)
	}
	// A region that leaves the topology loses its copy.
	p.all[len(p.all)-1] = "af-south-1"
	delete(p.public, dublin)
	p.ensure(t, 3*time.Hour)
	for _, c := range p.index.TokenKeys()[0].GetCopies() {
		if !strings.Contains(fmt.Sprint(p.all), c.GetRegion()) {
			t.Errorf("%s still has a copy", c.GetRegion())
		}
	}
}

// TestControlLosesItsWrappingKey makes a new key when the old one cannot be given to anybody any more; who can open the old one goes on
// accepting it.
func TestControlLosesItsWrappingKey(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, regions()...)
	p.ensure(t, 0)
	token := mint(t, p.codec(t, frankfurt), acme, lane(1, 0, 1))
	p.publish(t, control)
	p.now = noon.Add(time.Hour)
	n, err := p.keeper.EnsureKey(t.Context())
	if n != 2 || err == nil {
		t.Errorf("%d records, %v; want the second key and the first one's end, and a word about the first", n, err)
	}
	p.now = noon.Add(2 * time.Hour)
	if got := p.accepted(t, token); got[frankfurt] != "yes" {
		t.Errorf("%v", got)
	}
	if id, _, _ := p.rings[control].Newest(); id != 2 {
		t.Errorf("the control region uses key %d, want 2", id)
	}
}

// TestControlCannotOpen writes no key that the control region could not open again: it would write another at each look.
func TestControlCannotOpen(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, regions()...)
	published := p.public[control]
	p.publish(t, control)
	p.public[control] = published
	if n, err := p.keeper.EnsureKey(t.Context()); n != 0 || err == nil {
		t.Errorf("%d records, %v", n, err)
	}
}

// TestCopiesAreBound refuses a copy that was moved to another key or region.
func TestCopiesAreBound(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, regions()...)
	p.ensure(t, 0)
	key := p.index.TokenKeys()[0]
	forged := &directoryv1.TokenKey{Id: key.GetId() + 1, CreateTime: key.GetCreateTime(), Copies: key.GetCopies()}
	p.index.Apply([]*directoryv1.Record{{Writer: string(control), Wseq: 99, Subject: &directoryv1.Record_TokenKey{TokenKey: forged}}})
	if _, state := p.rings[frankfurt].Secret(forged.GetId()); state != consistency.KeySealed {
		t.Errorf("the copy of another key: state %d", state)
	}
	if _, state := p.rings[frankfurt].Secret(key.GetId()); state != consistency.KeyOpen {
		t.Errorf("the key itself: state %d", state)
	}
}

// TestSecretsDoNotShow prints a secret in every way there is.
func TestSecretsDoNotShow(t *testing.T) {
	t.Parallel()
	s := secretOf('Z')
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", slog.Any("secret", s), slog.Any("holder", struct{ S consistency.Secret }{s}))
	text, err := json.Marshal(map[string]any{"secret": s, "pointer": &s})
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	all.WriteString(log.String() + string(text))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		fmt.Fprintf(&all, verb+verb+verb, s, &s, struct{ S consistency.Secret }{s})
	}
	for _, shown := range []string{"ZZ", "5a5a", "5A5A", "90 90", "Wlpa"} {
		if strings.Contains(all.String(), shown) {
			t.Errorf("%q shows in %s", shown, all.String())
		}
	}
}

// BenchmarkTokenCheck is what a request with one token costs at a gate whose replica has caught up.
func BenchmarkTokenCheck(b *testing.B) {
	k := newKeys(1)
	g := newGate(b, k, &replica{have: lane(3, 2, 100_000)}, nil)
	h := headers(mint(b, newCodec(b, k), acme, lane(3, 2, 100_000)))
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := g.Admit(b.Context(), acme, acmeRoute(3), h); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
