// Command errordoc writes docs/errors.md from proto/domicile/errors/v1/errors.proto: each reason with its meaning (the comment),
// its status in each protocol and what the caller can do. It reads the source, because compiled descriptors have no comments.
//
//	go run ./internal/errordoc    # make generate does it
package main

import (
	"bytes"
	"context"
	_ "embed"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"text/template"

	"github.com/bufbuild/protocompile"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/residency"
)

// source is the contract, relative to the folder of the contracts.
const source = "domicile/errors/v1/errors.proto"

//go:embed errors.md.tmpl
var page string

func main() {
	contracts := flag.String("proto", "proto", "the folder of the contracts")
	out := flag.String("o", "docs/errors.md", "the file to write")
	flag.Parse()
	if err := run(context.Background(), *contracts, *out); err != nil {
		slog.Error("writing the documentation of errors", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, contracts, out string) error {
	text, err := render(ctx, contracts)
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, text, 0o644); err != nil { //nolint:gosec // a page of documentation is for everyone to read
		return fmt.Errorf("writing %s: %w", out, err)
	}
	return nil
}

// reason is one row of the page.
type reason struct {
	Name, Anchor, Meaning, Advice, Code, StatusText string
	Status                                          int32
}

// render makes the page.
func render(ctx context.Context, contracts string) ([]byte, error) {
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{contracts}}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(ctx, source)
	if err != nil {
		return nil, fmt.Errorf("compiling %s: %w", source, err)
	}
	values := files[0].Enums().ByName("Reason").Values()
	var rows []reason
	for i := range values.Len() {
		if values.Get(i).Number() == 0 {
			continue // never sent
		}
		row, err := describe(values.Get(i))
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	tmpl, err := template.New("errors.md").Parse(page)
	if err != nil {
		return nil, fmt.Errorf("parsing the template: %w", err)
	}
	var text bytes.Buffer
	if err := tmpl.Execute(&text, rows); err != nil {
		return nil, fmt.Errorf("filling the template: %w", err)
	}
	return text.Bytes(), nil
}

// describe reads what the contract says of a reason; each must say all of it.
func describe(value protoreflect.EnumValueDescriptor) (reason, error) {
	name := strings.TrimPrefix(string(value.Name()), "REASON_")
	options := residency.ReadOptions(value.Options(), &descriptorpb.EnumValueOptions{})
	policy, _ := proto.GetExtension(options, errorsv1.E_ReasonPolicy).(*errorsv1.ReasonPolicy)
	meaning := strings.Join(strings.Fields(value.ParentFile().SourceLocations().ByDescriptor(value).LeadingComments), " ")
	canonical, known := code.Code_name[policy.GetCode()]
	status := http.StatusText(int(policy.GetHttpStatus()))
	if meaning == "" || policy.GetAdvice() == "" || !known || status == "" {
		return reason{}, fmt.Errorf("%s lacks a comment, a known status or code, or an advice", value.FullName())
	}
	return reason{
		Name: name, Anchor: strings.ToLower(name), Meaning: meaning, Advice: policy.GetAdvice(),
		Code: canonical, Status: policy.GetHttpStatus(), StatusText: status,
	}, nil
}
