package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// docs/errors.md is what the contract says now.
func TestPageIsCurrent(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	want, err := render(t.Context(), filepath.Join(root, "proto"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, "docs", "errors.md"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/errors.md is not current; run: make generate (-want +got):\n%s", diff)
	}
}

// A reason that does not say everything is refused, so that the page has no holes.
func TestReasonsAreComplete(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"no comment":     `REASON_X = 1 [(reason_policy) = {http_status: 404 code: 5 advice: "a"}];`,
		"no advice":      "// Meaning.\nREASON_X = 1 [(reason_policy) = {http_status: 404 code: 5}];",
		"unknown status": "// Meaning.\nREASON_X = 1 [(reason_policy) = {http_status: 299 code: 5 advice: \"a\"}];",
		"no policy":      "// Meaning.\nREASON_X = 1;",
	}
	for name, value := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, source)
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			text := `syntax = "proto3"; package domicile.errors.v1; import "google/protobuf/descriptor.proto";
				message ReasonPolicy { int32 http_status = 1; int32 code = 2; string advice = 3; }
				extend google.protobuf.EnumValueOptions { ReasonPolicy reason_policy = 73601; }
				enum Reason { REASON_UNSPECIFIED = 0;
				` + value + `
				}`
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if page, err := render(t.Context(), dir); err == nil {
				t.Errorf("rendered without an error:\n%s", page)
			}
		})
	}
}
