package lambdahost

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"
)

// version is the version of a function that was never published.
const version = "$LATEST"

// maxLine bounds how much of a line without an end is kept back, in bytes; CloudWatch's events have 256 KiB.
const maxLine = 256 << 10

// logWriter lets the instances of a function share a writer, a line at a time. What cannot be written is lost: an invocation does not fail
// with its log.
type logWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (w *logWriter) line(prefix string, text []byte) {
	line := make([]byte, 0, len(prefix)+len(text)+1)
	line = append(append(append(line, prefix...), text...), '\n')
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = w.to.Write(line)
}

// instanceLog is the log stream of one instance. It is the io.Writer of its process's output.
type instanceLog struct {
	out    *logWriter
	prefix string

	mu   sync.Mutex
	rest []byte
}

var _ io.Writer = (*instanceLog)(nil)

// Write implements io.Writer: it passes whole lines on.
func (l *instanceLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		end := bytes.IndexByte(l.rest, '\n')
		if end < 0 && len(l.rest) < maxLine {
			return len(p), nil
		}
		if end < 0 {
			l.out.line(l.prefix, l.rest)
			l.rest = nil
			return len(p), nil
		}
		l.out.line(l.prefix, l.rest[:end])
		l.rest = l.rest[end+1:]
	}
}

// flush passes a last line without an end on.
func (l *instanceLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rest) > 0 {
		l.out.line(l.prefix, l.rest)
		l.rest = nil
	}
}

func (l *instanceLog) printf(format string, args ...any) {
	l.out.line(l.prefix, fmt.Appendf(nil, format, args...))
}

// report has what the REPORT line of an invocation says.
type report struct {
	requestID string
	duration  time.Duration
	// init is how long the instance took to start, zero if it was there.
	init time.Duration
	// memoryMB is what the function has, peak what the instance used, in bytes.
	memoryMB int
	peak     int64
	err      error
}

func (l *instanceLog) report(r report) {
	l.printf("END RequestId: %s", r.requestID)
	var b strings.Builder
	fmt.Fprintf(&b, "REPORT RequestId: %s\tDuration: %s ms\tBilled Duration: %.0f ms\tMemory Size: %d MB\tMax Memory Used: %d MB",
		r.requestID, milliseconds(r.duration), math.Ceil(float64(r.duration+r.init)/float64(time.Millisecond)), r.memoryMB, r.peak>>20)
	if r.init > 0 {
		fmt.Fprintf(&b, "\tInit Duration: %s ms", milliseconds(r.init))
	}
	if status, errorType := statusOf(r.err); status != "" {
		fmt.Fprintf(&b, "\tStatus: %s", status)
		if errorType != "" {
			fmt.Fprintf(&b, "\tError Type: %s", errorType)
		}
	}
	l.printf("%s", b.String())
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond))
}
