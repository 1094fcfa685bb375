package tour

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
)

// restCall is a call as a person would type it.
type restCall struct {
	method, url string
	tenant      string // whose key is sent; empty: none
	header      map[string]string
	body        any
}

// restAnswer is what came back.
type restAnswer struct {
	status int
	header http.Header
	body   []byte
	fields map[string]any
}

// rest makes a call and shows it as a curl line, the key left out.
func (g *guide) rest(ctx context.Context, c restCall) (restAnswer, error) {
	var body io.Reader
	var line strings.Builder // What a Builder is given never fails.
	_, _ = line.WriteString("curl -X " + c.method)
	if c.body != nil {
		raw, err := json.Marshal(c.body)
		if err != nil {
			return restAnswer{}, fmt.Errorf("making the body: %w", err)
		}
		body = bytes.NewReader(raw)
		_, _ = line.WriteString(" -d '" + string(raw) + "'")
	}
	req, err := http.NewRequestWithContext(ctx, c.method, c.url, body)
	if err != nil {
		return restAnswer{}, fmt.Errorf("making the call: %w", err)
	}
	if c.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.tenant != "" {
		req.Header.Set("Authorization", "Bearer "+g.Keys[c.tenant])
		_, _ = fmt.Fprintf(&line, ` -H "Authorization: Bearer $%s"`, strings.ToUpper(strings.ReplaceAll(c.tenant, "-", "_")))
	}
	names := make([]string, 0, len(c.header))
	for name := range c.header {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		req.Header.Set(name, c.header[name])
		_, _ = fmt.Fprintf(&line, " -H '%s: %s'", name, c.header[name])
	}
	g.sayf("    $ %s %s", &line, c.url)
	return g.send(req)
}

func (g *guide) send(req *http.Request) (restAnswer, error) {
	resp, err := g.http1.Do(req)
	if err != nil {
		return restAnswer{}, fmt.Errorf("no answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	a := restAnswer{status: resp.StatusCode, header: resp.Header}
	if a.body, err = io.ReadAll(io.LimitReader(resp.Body, 8<<20)); err != nil {
		return a, fmt.Errorf("reading the answer: %w", err)
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(a.body, &a.fields); err != nil {
			return a, fmt.Errorf("the answer is not JSON: %w", err)
		}
	}
	return a, nil
}

// want compares the status, and shows the answer when it is another.
func (a restAnswer) want(status int) error {
	if a.status == status {
		return nil
	}
	text := string(a.body)
	if len(text) > 400 {
		text = text[:400] + "…"
	}
	return fmt.Errorf("status %d instead of %d: %s", a.status, status, text)
}

// reason is the reason of an error answer.
func (a restAnswer) reason() string {
	details, _ := a.fields["details"].([]any)
	for _, d := range details {
		m, _ := d.(map[string]any)
		if r, ok := m["reason"].(string); ok {
			return r
		}
	}
	return ""
}

// wantError compares status and reason of a refusal.
func (a restAnswer) wantError(status int, reason string) error {
	if err := a.want(status); err != nil {
		return err
	}
	if a.reason() != reason {
		return fmt.Errorf("reason %q instead of %q", a.reason(), reason)
	}
	return nil
}

// wantHeader compares one header of the answer.
func (a restAnswer) wantHeader(name, value string) error {
	if got := a.header.Get(name); got != value {
		return fmt.Errorf("header %s is %q instead of %q", name, got, value)
	}
	return nil
}
