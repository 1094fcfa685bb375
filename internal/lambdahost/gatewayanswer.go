package lambdahost

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// proxyAnswer is what a function's answer makes of the response.
type proxyAnswer struct {
	status  int
	headers map[string]string
	cookies []string
	body    []byte
}

// parseProxyAnswer reads an answer in format 2.0. One without a statusCode is the body of a 200 in JSON, a JSON string without its
// quotes; so API Gateway infers it. multiValueHeaders belong to format 1.0 and mean nothing here, as there.
func parseProxyAnswer(out []byte) (proxyAnswer, error) {
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(out, &parts); err != nil || parts["statusCode"] == nil {
		return inferAnswer(out)
	}
	var answer struct {
		StatusCode      int               `json:"statusCode"`      //nolint:tagliatelle // AWS's name
		Headers         map[string]string `json:"headers"`         // AWS's name
		Cookies         []string          `json:"cookies"`         // AWS's name
		Body            string            `json:"body"`            // AWS's name
		IsBase64Encoded bool              `json:"isBase64Encoded"` //nolint:tagliatelle // AWS's name
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return proxyAnswer{}, fmt.Errorf("a malformed answer: %w", err)
	}
	if answer.StatusCode < 200 || answer.StatusCode > 599 {
		return proxyAnswer{}, fmt.Errorf("a malformed answer: the status %d", answer.StatusCode)
	}
	body := []byte(answer.Body)
	if answer.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(answer.Body); err != nil {
			return proxyAnswer{}, fmt.Errorf("a malformed answer: its body: %w", err)
		}
	}
	return proxyAnswer{status: answer.StatusCode, headers: answer.Headers, cookies: answer.Cookies, body: body}, nil
}

func inferAnswer(out []byte) (proxyAnswer, error) {
	if !json.Valid(out) {
		return proxyAnswer{}, errors.New("a malformed answer: no JSON")
	}
	body := out
	var text string
	if json.Unmarshal(out, &text) == nil && strings.HasPrefix(strings.TrimSpace(string(out)), `"`) {
		body = []byte(text)
	}
	return proxyAnswer{status: http.StatusOK, headers: map[string]string{"content-type": "application/json"}, body: body}, nil
}

// write sends the answer. The gateway counts the length itself, and headers about the connection are its own.
func (a proxyAnswer) write(w http.ResponseWriter) {
	h := w.Header()
	for name, value := range a.headers {
		if lower := strings.ToLower(name); lower != "content-length" && !isHopByHop(lower) {
			h.Set(name, value)
		}
	}
	for _, cookie := range a.cookies {
		h.Add("Set-Cookie", cookie)
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "text/plain;charset=utf-8")
	}
	if a.status != http.StatusNoContent && a.status != http.StatusNotModified {
		h.Set("Content-Length", strconv.Itoa(len(a.body)))
	} else {
		a.body = nil
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}
