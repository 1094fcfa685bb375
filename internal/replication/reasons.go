package replication

import "sync"

// maxReasons is how many messages' failures are remembered.
const maxReasons = 1024

// reasons are why messages could not be applied, for an operator who finds them among the dead letters. They are of this process, and
// the last of them only.
type reasons struct {
	mu    sync.Mutex
	texts map[string]string
	order []string
}

// note remembers why a message could not be applied.
func (r *reasons) note(message string, err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.texts == nil {
		r.texts = make(map[string]string)
	}
	if _, known := r.texts[message]; !known {
		if len(r.order) == maxReasons {
			delete(r.texts, r.order[0])
			r.order = append(r.order[:0], r.order[1:]...)
		}
		r.order = append(r.order, message)
	}
	r.texts[message] = err.Error()
}

// Reason returns why a message could not be applied the last time; empty when that is not known. It has no content.
func (a *Applier) Reason(message string) string {
	a.reasons.mu.Lock()
	defer a.reasons.mu.Unlock()
	return a.reasons.texts[message]
}
