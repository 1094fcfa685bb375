package consistency

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
)

// The headers that this package reads; Header is also that of the answer.
const (
	// Header carries tokens: given once or more, each time one or more, separated by commas.
	Header = "Domicile-Consistency"
	// HeaderMaxWait bounds, in milliseconds, how long a replica may wait until it has caught up.
	HeaderMaxWait = "Domicile-Max-Wait"
	// HeaderMaxStaleness bounds, in milliseconds, how old a replica's answer may be.
	HeaderMaxStaleness = "Domicile-Max-Staleness"
)

// The bounds of what a request may ask.
const (
	// MaxTokens is how many tokens a request may carry.
	MaxTokens = 8
	// DefaultMaxWait is how long a replica waits when the caller does not say; MostMaxWait is how long it may be told to.
	DefaultMaxWait = 250 * time.Millisecond
	MostMaxWait    = 2 * time.Second
	// mostStaleness is the most that can be asked: a year.
	mostStaleness = 365 * 24 * time.Hour
)

// Headers are a request's.
type Headers = http.Header

// Wishes are what a request asks of a replica.
type Wishes struct {
	// MaxWait is how long the replica may wait until it has caught up.
	MaxWait time.Duration
	// MaxStaleness bounds the age of the answer if Bounded.
	MaxStaleness time.Duration
	Bounded      bool
}

// ParseWishes reads Domicile-Max-Wait and Domicile-Max-Staleness. What is no number of milliseconds, given twice, or too large fails with
// INVALID_ARGUMENT.
func ParseWishes(h Headers) (Wishes, error) {
	wait, given, err := milliseconds(h, HeaderMaxWait, MostMaxWait)
	if err != nil {
		return Wishes{}, err
	}
	if !given {
		wait = DefaultMaxWait
	}
	staleness, bounded, err := milliseconds(h, HeaderMaxStaleness, mostStaleness)
	return Wishes{MaxWait: wait, MaxStaleness: staleness, Bounded: bounded}, err
}

func milliseconds(h Headers, name string, most time.Duration) (d time.Duration, given bool, err error) {
	values := h.Values(name)
	if len(values) == 0 {
		return 0, false, nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(values[0]), 10, 64)
	if err != nil || len(values) > 1 || n < 0 || n > most.Milliseconds() {
		rule := fmt.Sprintf("a whole number of milliseconds up to %d, given once", most.Milliseconds())
		f := fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "%s is %s", name, rule)
		f.Violations = []fault.Violation{{Field: name, Rule: "header", Message: rule}}
		return 0, false, f
	}
	return time.Duration(n) * time.Millisecond, true, nil
}

// tokensOf returns the tokens of a request. Empty elements of a list count for nothing (RFC 9110, section 5.6.1).
func tokensOf(h Headers) ([]string, error) {
	lines := h.Values(Header)
	if len(lines) == 0 {
		return nil, nil
	}
	tokens := make([]string, 0, MaxTokens)
	for _, line := range lines {
		for token := range strings.SplitSeq(line, ",") {
			token = strings.Trim(token, " \t")
			if token == "" {
				continue
			}
			if len(tokens) == MaxTokens {
				return nil, fault.New(errorsv1.Reason_REASON_TOKEN_INVALID, "a request carries at most %d consistency tokens", MaxTokens)
			}
			tokens = append(tokens, token)
		}
	}
	return tokens, nil
}

// Needed returns what a request's tokens cover, in the numbers of the present ownership. It fails with TOKEN_INVALID if there are too
// many or one is not valid, else with ErrUnknownKey or ErrNewerEpoch if one cannot be judged here, else with WRITE_LOST if one speaks of
// a lost write.
func (c *Codec) Needed(tenant ident.TenantID, h Headers, history History) (ident.Positions, error) {
	tokens, err := tokensOf(h)
	if err != nil {
		return ident.Positions{}, err
	}
	var needed ident.Positions
	var unjudged, refused error
	for _, token := range tokens {
		p, err := c.Parse(tenant, token)
		if fault.Is(err, errorsv1.Reason_REASON_TOKEN_INVALID) {
			return ident.Positions{}, err
		}
		if err == nil {
			p, err = history.Carry(p)
		}
		switch {
		case err == nil:
			needed = Cover(needed, p)
		case fault.Is(err, errorsv1.Reason_REASON_WRITE_LOST):
			refused = err
		default:
			unjudged = err
		}
	}
	if unjudged != nil {
		return ident.Positions{}, unjudged
	}
	if refused != nil {
		return ident.Positions{}, refused
	}
	return needed, nil
}
