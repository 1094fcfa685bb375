package consistency

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	"github.com/domicile-api/domicile/internal/ident"
)

// secretBytes is the size of a key: that of the hash, as RFC 2104 advises.
const secretBytes = 32

// Secret is what authenticates tokens. However it is printed, encoded or logged, it does not show.
type Secret struct{ bytes [secretBytes]byte }

// NewSecret returns the secret that 32 bytes are.
func NewSecret(b []byte) (Secret, error) {
	var s Secret
	if len(b) != secretBytes {
		return s, fmt.Errorf("a token key of %d bytes instead of %d", len(b), secretBytes)
	}
	copy(s.bytes[:], b)
	return s, nil
}

const hidden = "[secret]"

// Format implements fmt.Formatter.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// KeyState is what is known here of a token key.
type KeyState uint8

// The states.
const (
	// KeyUnknown says that the directory here does not have the key.
	KeyUnknown KeyState = iota
	// KeySealed says that the directory has the key, without a copy that this region can open.
	KeySealed
	// KeyOpen says that tokens under the key are accepted.
	KeyOpen
	// KeyRetired says that they no longer are.
	KeyRetired
)

// Keys are the keys that this region authenticates tokens with. Methods are safe for concurrent use and do no I/O.
type Keys interface {
	// Newest returns the key that tokens are made with; false if there is none.
	Newest() (id uint32, secret Secret, ok bool)
	// Secret returns a key. The secret counts only if the state is KeyOpen.
	Secret(id uint32) (Secret, KeyState)
}

// Source is where token keys come from; directory.Index is one.
type Source interface {
	// TokenKeys returns all keys, newest first: the same slice until something changes.
	TokenKeys() []*directoryv1.TokenKey
}

const (
	// settle is how old a key is before tokens are made with it, unless it is the only one: by then every region has it.
	settle = 10 * time.Minute
	// openAgain is after how long a copy that could not be opened is tried again.
	openAgain = 10 * time.Second
)

// RingConfig is what a Ring is made of.
type RingConfig struct {
	// Region is the one whose copies are opened.
	Region ident.RegionID
	// Source has the keys. Required.
	Source Source
	// Unwrap opens what was wrapped for the region, under the same info. It is called once a key, by whoever asks first, so it does
	// no I/O. Required.
	Unwrap func(wrapped, info []byte) ([]byte, error)
	// Clock says which keys are retired, and which are old enough to be used. Required.
	Clock func() time.Time
	// Logger gets what could not be opened; nothing is logged without it.
	Logger *slog.Logger
}

// Ring is the Keys of a region, from the copies in the directory.
type Ring struct {
	cfg   RingConfig
	mu    sync.Mutex // of those who open
	state atomic.Pointer[opened]
}

// opened is what the ring has of one state of the source.
type opened struct {
	list []*directoryv1.TokenKey
	// keys are those that were opened, newest first.
	keys []openKey
	// again is when to try the rest once more; zero: there is no rest.
	again time.Time
}

type openKey struct {
	id      uint32
	created time.Time
	// retires is when; zero: not known.
	retires time.Time
	secret  Secret
}

// NewRing returns a ring.
func NewRing(cfg RingConfig) *Ring {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Ring{cfg: cfg}
	r.state.Store(new(opened))
	return r
}

// Newest implements Keys. A key is used once it has been known for a while; of none that has, the oldest.
func (r *Ring) Newest() (id uint32, secret Secret, ok bool) {
	now := r.cfg.Clock()
	keys := r.current(now).keys
	for i := range keys {
		k := &keys[i]
		if k.retired(now) {
			break
		}
		id, secret, ok = k.id, k.secret, true
		if now.Sub(k.created) >= settle {
			break
		}
	}
	return id, secret, ok
}

// Secret implements Keys.
func (r *Ring) Secret(id uint32) (Secret, KeyState) {
	now := r.cfg.Clock()
	state := r.current(now)
	for i := range state.keys {
		switch k := &state.keys[i]; {
		case k.id != id:
		case k.retired(now):
			return Secret{}, KeyRetired
		default:
			return k.secret, KeyOpen
		}
	}
	for _, k := range state.list {
		switch {
		case k.GetId() != id:
		case retired(k, now):
			return Secret{}, KeyRetired
		default:
			return Secret{}, KeySealed
		}
	}
	return Secret{}, KeyUnknown
}

func (k *openKey) retired(now time.Time) bool { return !k.retires.IsZero() && !now.Before(k.retires) }

func retired(k *directoryv1.TokenKey, now time.Time) bool {
	return k.GetRetireTime() != nil && !now.Before(k.GetRetireTime().AsTime())
}

// current returns what the ring has of the source's present state.
func (r *Ring) current(now time.Time) *opened {
	list := r.cfg.Source.TokenKeys()
	if state := r.state.Load(); state.is(list, now) {
		return state
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.state.Load()
	if before.is(list, now) {
		return before
	}
	state := r.open(before, list, now)
	r.state.Store(state)
	return state
}

func (o *opened) is(list []*directoryv1.TokenKey, now time.Time) bool {
	same := len(o.list) == len(list) && (len(list) == 0 || &o.list[0] == &list[0])
	return same && (o.again.IsZero() || now.Before(o.again))
}

// open opens what is not open yet. A key's secret never changes.
func (r *Ring) open(before *opened, list []*directoryv1.TokenKey, now time.Time) *opened {
	state := &opened{list: list}
	for _, k := range list {
		if retired(k, now) {
			continue
		}
		wrapped, ok := copyFor(k, r.cfg.Region)
		if !ok {
			continue
		}
		entry := openKey{id: k.GetId(), created: k.GetCreateTime().AsTime()}
		if k.GetRetireTime() != nil {
			entry.retires = k.GetRetireTime().AsTime()
		}
		secret, known := before.secret(k.GetId())
		if !known {
			var err error
			if secret, err = unwrap(r.cfg.Unwrap, k.GetId(), r.cfg.Region, wrapped); err != nil {
				r.cfg.Logger.Warn("a token key cannot be opened here", slog.Uint64("key", uint64(k.GetId())), slog.Any("error", err))
				state.again = now.Add(openAgain)
				continue
			}
		}
		entry.secret = secret
		state.keys = append(state.keys, entry)
	}
	return state
}

func (o *opened) secret(id uint32) (Secret, bool) {
	for i := range o.keys {
		if o.keys[i].id == id {
			return o.keys[i].secret, true
		}
	}
	return Secret{}, false
}

// A copy is 8 bytes of SHA-256 of the wrapping key and what the wrapping gave: so that it shows when a region has another wrapping key.
const printBytes = 8

func printOf(wrappingKey []byte) [printBytes]byte {
	sum := sha256.Sum256(wrappingKey)
	return [printBytes]byte(sum[:])
}

// copyFor returns a region's copy of a key.
func copyFor(k *directoryv1.TokenKey, region ident.RegionID) ([]byte, bool) {
	for _, c := range k.GetCopies() {
		if c.GetRegion() == string(region) && len(c.GetWrapped()) > printBytes {
			return c.GetWrapped(), true
		}
	}
	return nil, false
}

// infoOf binds a copy to its key and its region.
func infoOf(id uint32, region ident.RegionID) []byte {
	return fmt.Appendf(nil, "domicile token key %d for %s", id, region)
}

func unwrap(open func(wrapped, info []byte) ([]byte, error), id uint32, region ident.RegionID, wrapped []byte) (Secret, error) {
	plain, err := open(wrapped[printBytes:], infoOf(id, region))
	if err != nil {
		return Secret{}, fmt.Errorf("opening token key %d: %w", id, err)
	}
	return NewSecret(plain)
}
