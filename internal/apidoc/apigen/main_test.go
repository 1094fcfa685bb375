package apigen_test

import (
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/domicile-api/domicile/internal/apidoc/apigen"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
	"github.com/domicile-api/domicile/openapi"
)

var record = flag.Bool("record", false, "run the real generator, and keep what it wrote in testdata")

// asGenerator is the argument by which this program plays protoc-gen-connect-openapi: it answers what the real one wrote once.
const asGenerator = "as-generator"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == asGenerator {
		if err := play(os.Args[2]); err != nil {
			_, _ = io.WriteString(os.Stderr, err.Error())
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// play answers a request with the recorded document of its features.
func play(dir string) error {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	request := &pluginpb.CodeGeneratorRequest{}
	if err := proto.Unmarshal(input, request); err != nil {
		return err
	}
	name := "rest.yaml"
	if strings.Contains(request.GetParameter(), "connectrpc") {
		name = "connect.yaml"
	}
	document, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	output, err := proto.Marshal(&pluginpb.CodeGeneratorResponse{
		File: []*pluginpb.CodeGeneratorResponse_File{{Name: new("raw.yaml"), Content: new(string(document))}},
	})
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(output)
	return err
}

const product = "testdata/acme"

// generator is the command line of the recorded generator.
func generator(t testing.TB) []string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join(product, "raw"))
	if err != nil {
		t.Fatal(err)
	}
	return []string{os.Args[0], asGenerator, dir}
}

// platform are the platform's documents with its errors and without its services: what the generator writes of those is long.
func platform(t testing.TB) fstest.MapFS {
	t.Helper()
	data, err := openapi.Files.ReadFile("v1/descriptors.binpb")
	if err != nil {
		t.Fatal(err)
	}
	set, kept := &descriptorpb.FileDescriptorSet{}, &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(data, set); err != nil {
		t.Fatal(err)
	}
	for _, file := range set.GetFile() {
		if len(file.GetService()) == 0 {
			kept.File = append(kept.File, file)
		}
	}
	if data, err = proto.Marshal(kept); err != nil {
		t.Fatal(err)
	}
	bundle, err := openapi.Files.ReadFile("v1/proto.zip")
	if err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{
		"v1/descriptors.binpb": {Data: data}, "v1/proto.zip": {Data: bundle},
		"overlay.yaml": {Data: []byte("info: {description: An API in several regions.}\noperations: {GetSettings: {never: [NOT_FOUND]}}\n")},
	}
}

// config generates the product's documents from a folder.
func config(t testing.TB, dir string) apigen.Config {
	t.Helper()
	return apigen.Config{
		Contracts: filepath.Join(dir, "proto"), Overlay: filepath.Join(dir, "openapi", "overlay.yaml"),
		Platform: platform(t), Topology: topologyfile.Default(), Plugin: generator(t),
	}
}

// TestRecord keeps what the real generator writes of the product; its module is that of the tools.
func TestRecord(t *testing.T) {
	t.Parallel()
	if !*record {
		t.Skip("records only with -record")
	}
	recorder, err := filepath.Abs(filepath.Join(product, "raw"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(t, product)
	cfg.Plugin = []string{"go", "tool", "-modfile=../../../tools/go.mod", "protoc-gen-connect-openapi"}
	raw, err := apigen.Raw(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range raw {
		if err := os.WriteFile(filepath.Join(recorder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
