package routeheader

import (
	"testing"
	"time"
)

// TestRecentIsBounded puts far more than fits, at one moment and over time.
func TestRecentIsBounded(t *testing.T) {
	t.Parallel()
	const n = 10
	now := time.Unix(1_000_000, 0)
	r := newRecent[int, int](n, time.Minute)
	for i := range 1000 {
		r.put(i, i, now)
		if got := r.size(); got > 2*n {
			t.Fatalf("%d entries, want at most %d", got, 2*n)
		}
		if v, ok := r.get(i); !ok || v != i {
			t.Fatalf("get(%d) = %d, %t right after put", i, v, ok)
		}
	}
	if _, ok := r.get(1000 - n); !ok {
		t.Errorf("one of the last %d entries is gone", n)
	}
	if _, ok := r.get(0); ok {
		t.Error("the first entry is still there")
	}
	r.put(-1, -1, now.Add(time.Minute))
	r.put(-2, -2, now.Add(2*time.Minute))
	if got := r.size(); got != 2 {
		t.Errorf("%d entries two spans later, want 2", got)
	}
}
