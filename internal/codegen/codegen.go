// Package codegen runs the plugins of a buf.gen.yaml, so that a product needs nothing but Go to make its code from its contracts:
// the plugins are programs that go.mod names, and the contracts are compiled here.
//
// It promises what `buf generate` promises for the part of the file that it reads: the same plugins get the same request, in the
// file's order. What it does not read it refuses by name.
package codegen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile/linker"
	"github.com/bufbuild/protocompile/protoutil"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/domicile-api/domicile/internal/protofile"
)

// Template is what a buf.gen.yaml says.
type Template struct {
	// Clean says that the folders that plugins write to have nothing else.
	Clean bool
	// Inputs are the folders of the contracts.
	Inputs []string
	// Plugins are run in this order.
	Plugins []Plugin
	// Env is added to the environment that the plugins run in.
	Env []string
}

// Plugin is a program that makes code.
type Plugin struct {
	// Command is the program with its arguments.
	Command []string
	// Out is the folder that it writes to, below the product's.
	Out string
	// Options are given to it, with commas between.
	Options []string
}

// document is the part of a buf.gen.yaml that is understood.
type document struct {
	Version string `yaml:"version"`
	Clean   bool   `yaml:"clean"`
	Inputs  []struct {
		Directory string `yaml:"directory"`
	} `yaml:"inputs"`
	Plugins []struct {
		Local texts  `yaml:"local"`
		Out   string `yaml:"out"`
		Opt   texts  `yaml:"opt"`
	} `yaml:"plugins"`
}

// texts is one text or a list of them.
type texts []string

// UnmarshalYAML reads either.
func (t *texts) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*t = texts{node.Value}
		return nil
	}
	var list []string
	if err := node.Decode(&list); err != nil {
		return fmt.Errorf("line %d is neither a text nor a list of texts", node.Line)
	}
	*t = list
	return nil
}

// ReadTemplate reads a buf.gen.yaml. It fails when the file has what only buf understands.
func ReadTemplate(name string) (*Template, error) {
	data, err := os.ReadFile(name) //nolint:gosec // the user names the file
	if err != nil {
		return nil, fmt.Errorf("reading the plugins: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	var doc document
	if err := decoder.Decode(&doc); err != nil {
		return nil, fmt.Errorf("%s: only inputs that are directories and local plugins with out and opt are understood: %w", name, err)
	}
	if doc.Version != "v2" {
		return nil, fmt.Errorf("%s: the version is %q; only v2 is understood", name, doc.Version)
	}
	t := &Template{Clean: doc.Clean}
	for _, in := range doc.Inputs {
		t.Inputs = append(t.Inputs, in.Directory)
	}
	for i, p := range doc.Plugins {
		if len(p.Local) == 0 || !filepath.IsLocal(p.Out) || filepath.Clean(p.Out) == "." {
			return nil, fmt.Errorf("%s: plugin %d must have local, and out must be a folder below this one", name, i+1)
		}
		t.Plugins = append(t.Plugins, Plugin{Command: p.Local, Out: p.Out, Options: p.Opt})
	}
	return t, nil
}

// Run makes the code of all files of a set. It runs the plugins in a folder and returns what they made by path from there.
func (t *Template) Run(ctx context.Context, dir string, set *protofile.Set) (map[string][]byte, error) {
	files, err := set.Compile(ctx, set.Paths()...)
	if err != nil {
		return nil, err
	}
	made := map[string][]byte{}
	for _, p := range t.Plugins {
		request := &pluginpb.CodeGeneratorRequest{
			FileToGenerate: set.Paths(), Parameter: new(strings.Join(p.Options, ",")), ProtoFile: inOrder(files),
		}
		response, err := p.run(ctx, dir, t.Env, request)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", strings.Join(p.Command, " "), err)
		}
		for _, f := range response.GetFile() {
			name := filepath.Join(p.Out, filepath.FromSlash(f.GetName()))
			if _, twice := made[name]; twice || f.GetInsertionPoint() != "" {
				return nil, fmt.Errorf("%s makes %s, which another plugin has made already", strings.Join(p.Command, " "), name)
			}
			made[name] = []byte(f.GetContent())
		}
	}
	return made, nil
}

// run gives a plugin a request and returns its answer.
func (p Plugin) run(
	ctx context.Context, dir string, env []string, request *pluginpb.CodeGeneratorRequest,
) (*pluginpb.CodeGeneratorResponse, error) {
	in, err := proto.MarshalOptions{Deterministic: true}.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encoding the request: %w", err)
	}
	var complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, p.Command[0], p.Command[1:]...) //nolint:gosec // the product's file names its plugins
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stderr = dir, append(os.Environ(), env...), bytes.NewReader(in), &complaints
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("running it: %w\n%s", err, strings.TrimSpace(complaints.String()))
	}
	response := &pluginpb.CodeGeneratorResponse{}
	if err := proto.Unmarshal(out, response); err != nil {
		return nil, fmt.Errorf("reading its answer: %w", err)
	}
	if response.GetError() != "" {
		return nil, errors.New(response.GetError())
	}
	return response, nil
}

// inOrder are files and all that they import, each after its imports, as plugins want them.
func inOrder(files linker.Files) []*descriptorpb.FileDescriptorProto {
	var all []*descriptorpb.FileDescriptorProto
	done := map[string]bool{}
	var add func(protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if done[f.Path()] {
			return
		}
		done[f.Path()] = true
		for i := range f.Imports().Len() {
			add(f.Imports().Get(i).FileDescriptor)
		}
		all = append(all, protoutil.ProtoFromFileDescriptor(f))
	}
	for _, f := range files {
		add(f)
	}
	return all
}
