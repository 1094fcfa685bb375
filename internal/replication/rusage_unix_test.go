//go:build unix

package replication_test

import (
	"syscall"
	"testing"
	"time"
)

// processorTime returns how long processors have worked for this process: unlike time, it hardly depends on what else the machine does.
func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
