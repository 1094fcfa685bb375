package directory

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/domicile-api/domicile/internal/topology"
)

const (
	// loadTimeout bounds the loading of a copy.
	loadTimeout = time.Minute
	// loadPause is how long a copy that could not be loaded is left alone.
	loadPause = 5 * time.Second
)

// spare is the last good copy for the time when the table is away. It is loaded when it is needed, once for all who need it, and
// again when it has become old; until then the old one serves.
type spare struct {
	copy     Copy
	topology *topology.Topology
	clock    func() time.Time
	// age is how old a loaded copy gets; patience is how long a call waits for the first.
	age, patience time.Duration
	logger        *slog.Logger

	mu sync.Mutex
	x  *Index
	// saved is when the copy was made; loaded is when it was loaded; tried is when that was last begun.
	saved, loaded, tried time.Time
	// loading is closed when the present loading ends; nil if there is none.
	loading chan struct{}
}

// index returns the copy, and when it was made; nil if there is none. It is loaded only if it is needed, and waited for only if no
// older one is there.
func (s *spare) index(ctx context.Context, needed bool) (x *Index, saved time.Time) {
	if s.copy == nil {
		return nil, time.Time{}
	}
	s.mu.Lock()
	x, saved = s.x, s.saved
	if needed && s.loading == nil && s.due() {
		s.loading, s.tried = make(chan struct{}), s.clock()
		go s.load(context.WithoutCancel(ctx), s.loading)
	}
	loading := s.loading
	s.mu.Unlock()
	if x != nil || loading == nil || !needed {
		return x, saved
	}
	timer := time.NewTimer(s.patience)
	defer timer.Stop()
	select {
	case <-loading:
	case <-timer.C:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.x, s.saved
}

// due tells whether the copy should be loaded. The caller holds mu.
func (s *spare) due() bool {
	now := s.clock()
	return outside(now.Sub(s.loaded), s.age) && outside(now.Sub(s.tried), loadPause)
}

// outside tells whether a time is over, or the clock was set back.
func outside(age, limit time.Duration) bool { return age < 0 || age >= limit }

func (s *spare) load(ctx context.Context, done chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	x := NewIndex(IndexConfig{Topology: s.topology})
	loaded, err := s.copy.Load(ctx, x)
	now := s.clock()
	switch {
	case err != nil:
		s.logger.ErrorContext(ctx, "the directory's last good copy cannot be used", slog.Any("error", err))
	case loaded.Refused != nil:
		s.logger.ErrorContext(ctx, "the directory's last good copy cannot be used; using the one before", slog.Any("error", loaded.Refused))
	default:
		s.logger.WarnContext(ctx, "the directory's last good copy stands in for the table",
			slog.Time("saved", loaded.Saved), slog.Int("records", loaded.Records))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.x, s.saved, s.loaded = x, loaded.Saved, now
	}
	s.loading = nil
	close(done)
}

// newest returns what is known of a name, from a copy or from a reading: of tenants and keys the one of the higher number, of hosts
// the later one. A key that either says is revoked is revoked.
func newest(x *Index, saved time.Time, kind byte, name string, last reading) string {
	switch kind {
	case nameTenant:
		kept, ok := x.tenants.get(name)
		if !ok || last.value != "" && decodeTenant(last.value).wseq >= decodeTenant(kept).wseq {
			return last.value
		}
		return kept
	case nameHost:
		owner, _, ok := x.Host(name)
		if !ok || last.value != "" && !last.at.Before(saved) {
			return last.value
		}
		return string(owner)
	default:
		return newestKey(x, name, last.value)
	}
}

func newestKey(x *Index, name, last string) string {
	kept, ok := x.keys.get(name)
	if !ok {
		return last
	}
	e := decodeKey(kept)
	if revocation, ok := x.revocations.get(name); ok && e.revoked == 0 {
		e.revoked = max(decodeRevocation(revocation).revoked, 1)
	}
	if last == "" {
		return e.encode()
	}
	read := decodeKey(last)
	revoked := max(e.revoked, read.revoked)
	if read.wseq >= e.wseq {
		e = read
	}
	e.revoked = revoked
	return e.encode()
}
