// Package apigen makes the OpenAPI documents of an API from its contracts.
//
// The contracts are compiled, protoc-gen-connect-openapi makes raw documents of them, and this package makes of those what clients can rely
// on: it mends what the generator leaves out or gets wrong, adds what the platform does with every call, and what people have written by
// hand in an overlay. What it promises: the same contracts give the same bytes, every example validates, nothing that clients see is without
// a description, and each mistake is told with the file and the line that it stands in.
package apigen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/reflect/protoreflect"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/apidoc"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/topology"
)

// Config says what documents are made of.
type Config struct {
	// Contracts is the folder of the .proto files.
	Contracts string
	// Imports are folders with the texts of contracts that those import, for the bundle; the platform's own need none.
	Imports []string
	// Overlay is a file with what people add by hand; empty: nothing.
	Overlay string
	// Platform are the documents of the platform, whose services are part of every API; nil: the contracts have them.
	Platform fs.FS
	// Topology has the regions that documents are made of.
	Topology *topology.Topology
	// Regions are those to make documents of; nil: all.
	Regions []ident.RegionID
	// Plugin is the command line of protoc-gen-connect-openapi.
	Plugin []string
}

var errNoServices = errors.New("no service of the contracts has a method with an HTTP rule in a package that ends in a version, like acme.v1")

// generation is one run.
type generation struct {
	cfg       Config
	contracts *contracts
	meanings  map[errorsv1.Reason]string
	overlay   *overlay // the project's
	platform  *overlay
	said      map[string]schemaOverlay
	files     map[string][]byte
}

// Generate makes all documents and returns them by name, e.g. "v1/global.yaml". All problems that it finds are in the error.
func Generate(ctx context.Context, cfg Config) (map[string][]byte, error) {
	g := &generation{cfg: cfg, files: map[string][]byte{}}
	var err error
	if g.contracts, err = compile(ctx, cfg.Contracts, cfg.Platform); err != nil {
		return nil, err
	}
	if g.meanings, err = g.contracts.meanings(); err != nil {
		return nil, err
	}
	if err := g.readOverlays(); err != nil {
		return nil, err
	}
	if err := g.checkRegions(); err != nil {
		return nil, err
	}
	versions := g.contracts.publicServices()
	if len(versions) == 0 {
		return nil, fmt.Errorf("%s: %w", cfg.Contracts, errNoServices)
	}
	methods, err := g.check(versions)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		if err := g.version(ctx, name, versions[name], methods[name]); err != nil {
			return nil, err
		}
	}
	return g.files, nil
}

// checkRegions refuses regions that the topology does not have, before anything is made.
func (g *generation) checkRegions() error {
	for _, region := range g.cfg.Regions {
		if _, known := g.cfg.Topology.Index(region); !known || region == ident.NoRegion {
			return fmt.Errorf("the document of %q: %w; it has %v", region, apidoc.ErrNoRegion, g.cfg.Topology.IDs())
		}
	}
	return nil
}

// check finds the methods of all versions, gives them what the overlays say, and refuses what is not complete or contradicts itself.
func (g *generation) check(versions map[string][]protoreflect.ServiceDescriptor) (map[string][]*method, error) {
	var all []*method
	var problem error
	methods := map[string][]*method{}
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		methods[name] = methodsOf(versions[name])
		problem = errors.Join(problem, g.contracts.checkRules(name, methods[name]), g.contracts.checkComments(methods[name]))
		all = append(all, methods[name]...)
	}
	var err error
	g.said, err = g.schemaOverlays(g.contracts.files)
	if err := errors.Join(problem, g.assign(all), g.overlay.checkTexts(all), err); err != nil {
		return nil, err
	}
	return methods, g.readExamples(all)
}

// version makes the documents of one version.
func (g *generation) version(ctx context.Context, name string, services []protoreflect.ServiceDescriptor, methods []*method) error {
	rest := &builder{contracts: g.contracts, version: name, services: services, methods: methods, overlay: g.overlay, platform: g.platform}
	connect := new(*rest)
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { return g.build(ctx, rest, false) })
	both.Go(func() error { return g.build(ctx, connect, true) })
	if err := both.Wait(); err != nil {
		return err //nolint:wrapcheck // each says what it did
	}
	if err := g.write(ctx, rest.doc, connect.doc, name); err != nil {
		return err
	}
	return g.downloads(name, services)
}

// build makes one document.
func (g *generation) build(ctx context.Context, b *builder, connect bool) error {
	features := featuresREST
	errorSchema, name := statusSchema(), "google.rpc.Status"
	if connect {
		features, errorSchema, name = featuresConnect, connectErrorSchema(), "connect.Error"
	}
	raw, err := plugin(g.cfg.Plugin).document(ctx, g.contracts, b.services, features)
	if err != nil {
		return err
	}
	b.schemas = &schemas{
		contracts: g.contracts, patterns: g.contracts.patternsOf(b.methods), masks: masksOf(b.methods), said: g.said,
		raw: raw.Components.Schemas, made: openapi3.Schemas{name: errorSchema.NewRef()},
	}
	b.errors = &errorParts{meanings: g.meanings, connect: connect, schema: name}
	b.raw = map[string]*openapi3.Operation{}
	for _, path := range raw.Paths.Map() {
		for _, op := range path.Operations() {
			b.raw[op.OperationID] = op
		}
	}
	if connect {
		b.connect()
	} else if err := b.rest(); err != nil {
		return err
	}
	if err := errors.Join(b.problems...); err != nil {
		return err
	}
	if err := apidoc.Prune(b.doc); err != nil {
		return err
	}
	return nil
}

// write lays the regions over the documents and encodes them.
func (g *generation) write(ctx context.Context, rest, connect *openapi3.T, version string) error {
	regions := g.cfg.Regions
	if regions == nil {
		regions = g.cfg.Topology.IDs()
	}
	put := func(file string, base *openapi3.T, region ident.RegionID) error {
		doc, err := apidoc.Layer(base, g.cfg.Topology, region)
		if err != nil {
			return err
		}
		var options []openapi3.ValidationOption
		if region != ident.NoRegion {
			options = append(options, openapi3.DisableExamplesValidation()) // they are those of the global document
		}
		if err := doc.Validate(ctx, options...); err != nil {
			return fmt.Errorf("validating %s: %w", file, err)
		}
		g.files[version+"/"+file], err = apidoc.Encode(doc)
		return err
	}
	if err := put(apidoc.GlobalFile, rest, ident.NoRegion); err != nil {
		return err
	}
	if err := put(apidoc.ConnectFile, connect, ident.NoRegion); err != nil {
		return err
	}
	for _, region := range regions {
		if err := put(string(region)+".yaml", rest, region); err != nil {
			return err
		}
	}
	return nil
}

// downloads adds the bundle and the descriptors.
func (g *generation) downloads(version string, services []protoreflect.ServiceDescriptor) error {
	files := reachable(services)
	for _, file := range g.contracts.files {
		if file.Path() == errorsFile && !slices.ContainsFunc(files, func(f protoreflect.FileDescriptor) bool { return f.Path() == errorsFile }) {
			files = append(files, file)
		}
	}
	var err error
	if g.files[version+"/"+apidoc.DescriptorsFile], err = descriptors(files); err != nil {
		return err
	}
	g.files[version+"/"+apidoc.BundleFile], err = g.bundle(files)
	return err
}
