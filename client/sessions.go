package client

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	headerConsistency = "Domicile-Consistency"
	headerKey         = "Idempotency-Key"
	headerTenant      = "Domicile-Tenant"

	// maxTokens is how many a request may carry.
	maxTokens = 8
	// maxTokenChars is how long a token of the platform is at the most. A longer one is none, and would make the calls after it fail.
	maxTokenChars = 256
	// maxSessions bounds the keys that a client remembers something of; beyond it the one that was used longest ago is forgotten.
	maxSessions = 1024
)

// sessions are what a client keeps for each key and tenant.
type sessions struct {
	clock func() time.Time

	mu    sync.Mutex
	all   map[[sha256.Size]byte]*session
	turns uint64
}

func newSessions(clock func() time.Time) *sessions {
	return &sessions{clock: clock, all: make(map[[sha256.Size]byte]*session)}
}

// of returns the session of a request: by its key and the tenant that it names, and without a key by its host. Keys are not kept, only
// their hashes.
func (s *sessions) of(header http.Header, host string) *session {
	name := header.Get("Authorization")
	if name == "" {
		name = "host " + strings.ToLower(host)
	}
	id := sha256.Sum256([]byte(name + "\x00" + header.Get(headerTenant)))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turns++
	found := s.all[id]
	if found == nil {
		if len(s.all) >= maxSessions {
			s.forgetOldest()
		}
		found = &session{clock: s.clock}
		s.all[id] = found
	}
	found.used = s.turns
	return found
}

func (s *sessions) forgetOldest() {
	var oldest [sha256.Size]byte
	least := s.turns
	for id, one := range s.all {
		if one.used < least {
			oldest, least = id, one.used
		}
	}
	delete(s.all, oldest)
}

// session is what is known of one key's calls.
type session struct {
	clock func() time.Time
	used  uint64 // guarded by sessions.mu

	mu     sync.Mutex
	tokens []string // oldest first
	// target is where calls belong, until a time; nil: where they begin.
	target *url.URL
	until  time.Time
}

// send adds the tokens to a request's header and returns them; none if the caller has given its own.
func (s *session) send(header http.Header) []string {
	if len(header.Values(headerConsistency)) > 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tokens) == 0 {
		return nil
	}
	sent := slices.Clone(s.tokens)
	header.Set(headerConsistency, strings.Join(sent, ", "))
	return sent
}

// keep takes the tokens of an answer, which cover those that were sent.
func (s *session) keep(sent []string, header http.Header) {
	var got []string
	for _, line := range header.Values(headerConsistency) {
		for token := range strings.SplitSeq(line, ",") {
			if token = strings.TrimSpace(token); token != "" && len(token) <= maxTokenChars {
				got = append(got, token)
			}
		}
	}
	if len(got) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = slices.DeleteFunc(s.tokens, func(t string) bool { return slices.Contains(sent, t) || slices.Contains(got, t) })
	s.tokens = append(s.tokens, got...)
	if extra := len(s.tokens) - maxTokens; extra > 0 {
		s.tokens = slices.Delete(s.tokens, 0, extra)
	}
}

// settle takes the tokens of an answer that may be an error. If it refuses those that were sent, they are dropped, as the platform
// advises; what came meanwhile stays.
func (s *session) settle(f *failure, sent []string, header http.Header) {
	if f == nil || !f.tokens() {
		s.keep(sent, header)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = slices.DeleteFunc(s.tokens, func(t string) bool { return slices.Contains(sent, t) })
}

// home returns where calls belong, or nil.
func (s *session) home() *url.URL {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.target == nil || !s.clock().Before(s.until) {
		return nil
	}
	return s.target
}

func (s *session) setHome(target *url.URL, ttl time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.target, s.until = target, s.clock().Add(ttl)
}
