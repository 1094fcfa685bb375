package sqsqueue

import (
	"fmt"
	"strconv"
	"testing"
	"time"
)

// What is remembered is bounded, and what is forgotten is not taken for stale.
func TestReceptionsAreBounded(t *testing.T) {
	t.Parallel()
	var r receptions
	now := time.Unix(0, 0)
	for i := range maxReceptions + 100 {
		// The first message is received again and again, the others once.
		message := strconv.Itoa(i)
		if i%2 == 0 {
			message = "again"
		}
		r.add(message, fmt.Sprint("receipt ", i), now, now.Add(time.Hour))
	}
	if len(r.all) != maxReceptions || r.oldest.Len() != maxReceptions || len(r.last) != maxReceptions/2+1 {
		t.Errorf("%d receipts in %d places of %d messages", len(r.all), r.oldest.Len(), len(r.last))
	}
	for i, want := range map[int]bool{0: false, 98: false, 100: true, 101: false, maxReceptions: true, maxReceptions + 98: false} {
		if got := r.judge(fmt.Sprint("receipt ", i), now); got.stale != want {
			t.Errorf("%d: %+v, want stale %v", i, got, want)
		}
	}
	// The last of a message is forgotten, and its next begins anew.
	r.forget()
	r.add("101", "receipt of 101", now, now.Add(time.Hour))
	if got := r.judge("receipt of 101", now); got.stale || got.begin != now {
		t.Errorf("%+v", got)
	}
}
