// Command buf-plugin-domicile is the residency check as a plugin of buf: it refuses contracts whose options would let data go
// where its class forbids. The rules are in internal/residency/check, and buf.yaml shows how to use them.
//
// Its one option is "decisions", the folder with the decision files that allow a class to be loosened, "docs/decisions" unless
// told otherwise. It is relative to where buf runs.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"buf.build/go/bufplugin/check"
	"buf.build/go/bufplugin/descriptor"
	"buf.build/go/bufplugin/option"
	"google.golang.org/protobuf/reflect/protoreflect"

	residencycheck "github.com/domicile-api/domicile/internal/residency/check"
)

// category is the name under which buf.yaml can ask for all rules at once.
const category = "DOMICILE"

func main() {
	check.Main(spec())
}

// spec declares the rules to buf.
func spec() *check.Spec {
	s := &check.Spec{Categories: []*check.CategorySpec{
		{ID: category, Purpose: "Checks that no data may go where its class forbids."},
	}}
	for _, rule := range residencycheck.Rules() {
		kind := check.RuleTypeLint
		if rule.Compares {
			kind = check.RuleTypeBreaking
		}
		s.Rules = append(s.Rules, &check.RuleSpec{
			ID:          rule.ID,
			CategoryIDs: []string{category},
			Default:     true,
			Purpose:     rule.Purpose,
			Type:        kind,
			Handler:     check.RuleHandlerFunc(handler(rule)),
		})
	}
	return s
}

// handler runs a rule on what buf sends.
func handler(rule residencycheck.Rule) func(context.Context, check.ResponseWriter, check.Request) error {
	return func(_ context.Context, w check.ResponseWriter, r check.Request) error {
		decided, err := decisions(r.Options())
		if err != nil {
			return err
		}
		contract := &residencycheck.Contract{Decided: decided}
		contract.Files, contract.Imports = split(r.FileDescriptors())
		own, imported := split(r.AgainstFileDescriptors())
		contract.Against = slices.Concat(own, imported)
		for _, f := range rule.Check(contract) {
			at := []check.AddAnnotationOption{check.WithDescriptor(f.At), check.WithMessage(f.Text)}
			if f.Before != nil {
				at = append(at, check.WithAgainstDescriptor(f.Before))
			}
			w.AddAnnotation(at...)
		}
		return nil
	}
}

// split parts the files that are checked from those that they import, in the order of their paths; buf has none.
func split(files []descriptor.FileDescriptor) (own, imported []protoreflect.FileDescriptor) {
	byPath := func(a, b descriptor.FileDescriptor) int {
		return strings.Compare(a.ProtoreflectFileDescriptor().Path(), b.ProtoreflectFileDescriptor().Path())
	}
	for _, f := range slices.SortedFunc(slices.Values(files), byPath) {
		if f.IsImport() {
			imported = append(imported, f.ProtoreflectFileDescriptor())
			continue
		}
		own = append(own, f.ProtoreflectFileDescriptor())
	}
	return own, imported
}

// decisions returns how to find the decision file of a field: NNNN-loosen-<full name of the field>.md, NNNN being its number.
func decisions(options option.Options) (func(protoreflect.FullName) bool, error) {
	folder, err := option.GetStringValue(options, "decisions")
	if err != nil {
		return nil, fmt.Errorf("reading the option decisions: %w", err)
	}
	if folder == "" {
		folder = filepath.Join("docs", "decisions")
	}
	return func(field protoreflect.FullName) bool {
		files, err := filepath.Glob(filepath.Join(folder, "[0-9][0-9][0-9][0-9]-loosen-"+string(field)+".md"))
		if err != nil || len(files) == 0 {
			return false
		}
		info, err := os.Stat(files[0])
		return err == nil && info.Size() > 0
	}, nil
}
