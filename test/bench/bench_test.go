package main

import (
	"bufio"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadAnswer(t *testing.T) {
	t.Parallel()
	const next = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext"
	tests := []struct {
		name, answer, body string
		err                error
	}{
		{name: "length", answer: "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nVary: Origin\r\n\r\nabc", body: "abc"},
		{name: "chunks", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", body: "abc0123456789"},
		{name: "refused", answer: "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno", err: errStatus},
		{name: "not HTTP/1.1", answer: "HTTP/2.0 200 OK\r\n\r\n", err: errAnswer},
		{name: "a bad length", answer: "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", err: errAnswer},
		{name: "a bad chunk", answer: "HTTP/1.1 200 OK\r\n\r\nx\r\n", err: errAnswer},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := bufio.NewReader(strings.NewReader(tt.answer + next))
			body, err := readAnswer(r)
			if !errors.Is(err, tt.err) || string(body) != tt.body {
				t.Fatalf("readAnswer = %q, %v", body, err)
			}
			if err != nil {
				return
			}
			if body, err := readAnswer(r); err != nil || string(body) != "next" {
				t.Errorf("the answer after it: %q, %v", body, err)
			}
		})
	}
}

func TestSeries(t *testing.T) {
	t.Parallel()
	s := series{4, 1, 3, 2}
	got := []string{
		number(s.median(), "x"), s.over(series{2, 1, 1, 0}).times(), s.minus(series{1, 1}).spread("µs"),
		number(1234.5, "ns"), number(53.44, "bytes"), number(0, "allocs"), series{}.spread("ns"),
	}
	want := []string{"2.50 x", "2.00 (1.00–3.00)", "1.50 µs (0–3.00)", "1234 ns", "53.4 bytes", "0 allocs", "none"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestReadBenchmarkLine(t *testing.T) {
	t.Parallel()
	r := results{}
	for _, line := range []string{
		"goos: linux", "BenchmarkCommit/writers=1/raw-2   \t 100\t  5000 ns/op\t 200 commits/s\t 7 B/op\t 3 allocs/op",
		"BenchmarkCommit/writers=1/raw-2   \t 100\t  7000 ns/op\t 100 commits/s", "PASS",
	} {
		r.read("p", line)
	}
	want := results{
		{"p", "BenchmarkCommit/writers=1/raw", "ns/op"}: {5000, 7000}, {"p", "BenchmarkCommit/writers=1/raw", "commits/s"}: {200, 100},
		{"p", "BenchmarkCommit/writers=1/raw", "B/op"}: {7}, {"p", "BenchmarkCommit/writers=1/raw", "allocs/op"}: {3},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
}

// The patterns match, level by level, all that the table needs.
func TestPatternsMatchTheTable(t *testing.T) {
	t.Parallel()
	for _, b := range goBenches {
		for _, name := range []string{b.bench, b.peer} {
			if name != "" && !slices.ContainsFunc(patterns(b.pkg), func(p string) bool { return matches(p, name) }) {
				t.Errorf("no pattern of %s matches %s: %q", b.pkg, name, patterns(b.pkg))
			}
		}
	}
}

func matches(pattern, name string) bool {
	levels, parts := strings.Split(pattern, "/"), strings.Split(name, "/")
	if len(levels) != len(parts) {
		return false
	}
	for i, level := range levels {
		if !regexp.MustCompile(level).MatchString(parts[i]) {
			return false
		}
	}
	return true
}
