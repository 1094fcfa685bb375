package queue

import "fmt"

// CheckSend checks the messages of a Send against the limits and rules of the port. Every adapter calls it before anything else. It returns an
// error for each message that is not accepted, those behind it in its group included, nil for the others; err when the call fails as a whole.
func CheckSend(messages []Outgoing) (failed []error, err error) {
	if len(messages) == 0 || len(messages) > MaxBatch {
		return nil, fmt.Errorf("%w: a batch has 1 to %d messages", ErrInvalid, MaxBatch)
	}
	total := 0
	failed = make([]error, len(messages))
	refused := make(map[string]struct{})
	for i := range messages {
		m := &messages[i]
		total += len(m.Body)
		_, behind := refused[m.Group]
		switch {
		case !IsName(m.Group):
			failed[i] = fmt.Errorf("%w: a message group has 1 to %d ASCII letters, digits or punctuation", ErrInvalid, MaxNameBytes)
		case !IsName(m.Deduplication):
			failed[i] = fmt.Errorf("%w: a deduplication id has 1 to %d ASCII letters, digits or punctuation", ErrInvalid, MaxNameBytes)
		case len(m.Body) == 0:
			failed[i] = fmt.Errorf("%w: an empty body", ErrInvalid)
		case behind:
			failed[i] = fmt.Errorf("%w: an earlier message of its group was not accepted", ErrInvalid)
		default:
			continue
		}
		refused[m.Group] = struct{}{}
	}
	if total > MaxMessageBytes {
		return nil, fmt.Errorf("%w: the bodies of a batch have at most %d bytes", ErrTooLarge, MaxMessageBytes)
	}
	return failed, nil
}

// IsName tells whether a text can be a message group or a deduplication id.
func IsName(s string) bool {
	if s == "" || len(s) > MaxNameBytes {
		return false
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}
