package apigen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/domicile-api/domicile/internal/apidoc"
)

// The features of the generator by which it makes the two documents.
const (
	featuresREST    = "google.api.http;protovalidate"
	featuresConnect = "connectrpc;protovalidate,allow-get"
)

var errPlugin = errors.New("the generator wrote no document")

// plugin is the command line of protoc-gen-connect-openapi.
type plugin []string

// document runs the generator over services. What it makes is raw: see package rest.go for what is mended.
func (p plugin) document(ctx context.Context, c *contracts, services []protoreflect.ServiceDescriptor, features string) (*openapi3.T, error) {
	base, err := os.CreateTemp("", "openapi-base-*.yaml")
	if err != nil {
		return nil, fmt.Errorf("preparing the generator: %w", err)
	}
	defer func() { _ = os.Remove(base.Name()) }() // A temporary file that stays is no fault of the documents.
	_, err = base.WriteString("openapi: 3.1.0\ninfo: {title: API, version: v0}\n")
	if err := errors.Join(err, base.Close()); err != nil {
		return nil, fmt.Errorf("preparing the generator: %w", err)
	}
	const name = "raw.yaml"
	parameters := []string{"features=" + features, "base=" + filepath.ToSlash(base.Name()), "path=" + name}
	request := &pluginpb.CodeGeneratorRequest{}
	for _, service := range services {
		parameters = append(parameters, "services="+string(service.FullName()))
		if path := service.ParentFile().Path(); !slices.Contains(request.GetFileToGenerate(), path) {
			request.FileToGenerate = append(request.FileToGenerate, path)
		}
	}
	request.Parameter = new(strings.Join(parameters, ","))
	for _, file := range c.files {
		request.ProtoFile = append(request.ProtoFile, protoOf(file))
	}
	response, err := p.run(ctx, request)
	if err != nil {
		return nil, err
	}
	for _, file := range response.GetFile() {
		if file.GetName() == name {
			return apidoc.Decode([]byte(file.GetContent()))
		}
	}
	return nil, errPlugin
}

// run speaks protoc's protocol with the generator.
func (p plugin) run(ctx context.Context, request *pluginpb.CodeGeneratorRequest) (*pluginpb.CodeGeneratorResponse, error) {
	input, err := proto.MarshalOptions{Deterministic: true}.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("asking the generator: %w", err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, p[0], p[1:]...) //nolint:gosec // the person who generates names the generator
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("running %s: %w: %s", strings.Join(p, " "), err, strings.TrimSpace(stderr.String()))
	}
	response := &pluginpb.CodeGeneratorResponse{}
	if err := proto.Unmarshal(stdout.Bytes(), response); err != nil {
		return nil, fmt.Errorf("reading what %s wrote: %w", strings.Join(p, " "), err)
	}
	if response.GetError() != "" {
		return nil, fmt.Errorf("running %s: %w: %s", strings.Join(p, " "), errPlugin, response.GetError())
	}
	return response, nil
}

// reachable returns the files of services and all that they import, in order.
func reachable(services []protoreflect.ServiceDescriptor) []protoreflect.FileDescriptor {
	found := &contracts{}
	seen := map[string]bool{}
	for _, service := range services {
		found.add(service.ParentFile(), seen)
	}
	return found.files
}

// descriptors returns the files as a serialized set.
func descriptors(files []protoreflect.FileDescriptor) ([]byte, error) {
	set := &descriptorpb.FileDescriptorSet{}
	for _, file := range files {
		set.File = append(set.File, protoOf(file))
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("writing the descriptors: %w", err)
	}
	return data, nil
}
