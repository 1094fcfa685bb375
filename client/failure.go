package client

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// errorDomain is the domain of every ErrorInfo of the platform.
const errorDomain = "domicile.dev"

// The reasons that the client acts on.
const (
	reasonWrongRegion    = "WRONG_REGION"
	reasonOutcomeUnknown = "OUTCOME_UNKNOWN"
	reasonRateLimited    = "RATE_LIMITED"
	reasonTokenInvalid   = "TOKEN_INVALID"
	reasonWriteLost      = "WRITE_LOST"
)

// failure is why an attempt failed, in any protocol.
type failure struct {
	// network says that no answer came.
	network bool
	// from is where the answer came from; nil if that is not known.
	from *url.URL
	// unavailable and limited are what the status says: 503, 429, or their like.
	unavailable, limited bool
	reason               string
	metadata             map[string]string
	// retryAfter counts if told.
	retryAfter time.Duration
	told       bool
}

// tokens tells whether the platform advises to drop the tokens that were sent.
func (f *failure) tokens() bool { return f.reason == reasonTokenInvalid || f.reason == reasonWriteLost }

// mayRepeat tells whether a call that does no harm twice has reason to be sent again.
func (f *failure) mayRepeat() bool {
	switch {
	case f.reason == reasonOutcomeUnknown, f.metadata["retry_safe"] == "false":
		return false
	case f.network, f.limited:
		return true
	default:
		return f.unavailable && f.told
	}
}

// detail takes what one of an error's details says.
func (f *failure) detail(message proto.Message) {
	switch d := message.(type) {
	case *errdetails.ErrorInfo:
		if d.GetDomain() == errorDomain {
			f.reason, f.metadata = d.GetReason(), d.GetMetadata()
			f.limited = f.limited || f.reason == reasonRateLimited
		}
	case *errdetails.RetryInfo:
		if delay := d.GetRetryDelay(); delay != nil && delay.AsDuration() >= 0 {
			f.retryAfter, f.told = max(f.retryAfter, delay.AsDuration()), true
		}
	}
}

// header takes Retry-After, in seconds or as a date (RFC 9110, section 10.2.3).
func (f *failure) header(h http.Header, now time.Time) {
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		f.retryAfter, f.told = max(f.retryAfter, time.Duration(seconds)*time.Second), true
	} else if errors.Is(err, strconv.ErrRange) {
		f.retryAfter, f.told = math.MaxInt64, true // Longer than anybody waits.
	} else if date, err := http.ParseTime(value); err == nil {
		f.retryAfter, f.told = max(f.retryAfter, date.Sub(now)), true
	}
}

// answerFailure reads an answer of REST or of Connect with an error's status.
func answerFailure(from *url.URL, status int, h http.Header, body []byte, now time.Time) *failure {
	f := &failure{from: from, unavailable: status == http.StatusServiceUnavailable, limited: status == http.StatusTooManyRequests}
	f.header(h, now)
	if !strings.HasPrefix(strings.ToLower(h.Get("Content-Type")), "application/json") {
		return f
	}
	var message struct {
		Details []json.RawMessage `json:"details"`
	}
	if err := json.Unmarshal(body, &message); err != nil {
		return f
	}
	for _, raw := range message.Details {
		if detail := parseDetail(raw); detail != nil {
			f.detail(detail)
		}
	}
	return f
}

// parseDetail reads a detail as google.rpc.Status has it in JSON, or as the Connect protocol does; nil if it is neither.
func parseDetail(raw json.RawMessage) proto.Message {
	var connectForm struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	}
	packed := new(anypb.Any)
	if json.Unmarshal(raw, &connectForm) == nil && connectForm.Type != "" && connectForm.Value != "" {
		value, err := connect.DecodeBinaryHeader(connectForm.Value)
		if err != nil {
			return nil
		}
		packed.TypeUrl, packed.Value = "type.googleapis.com/"+connectForm.Type, value
	} else if protojson.Unmarshal(raw, packed) != nil {
		return nil
	}
	message, err := packed.UnmarshalNew()
	if err != nil {
		return nil
	}
	return message
}

// connectFailure reads the error of a Connect client; nil for what is the caller's own end.
func connectFailure(from *url.URL, err error, now time.Time) *failure {
	coded, ok := errors.AsType[*connect.Error](err)
	if !ok || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	f := &failure{from: from, unavailable: coded.Code() == connect.CodeUnavailable}
	if !connect.IsWireError(err) {
		// What a client finds wrong with an answer, or with its own request, is no reason to repeat it.
		f.network = f.unavailable
		return f
	}
	f.header(coded.Meta(), now)
	for _, detail := range coded.Details() {
		if message, detailErr := detail.Value(); detailErr == nil {
			f.detail(message)
		}
	}
	return f
}
