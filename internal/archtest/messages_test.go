package archtest

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gopackages "golang.org/x/tools/go/packages"
)

// renderers may turn messages into text, each for its reason. Everyone else logs a message as an attribute, which the handler of
// package residency redacts.
var renderers = map[string]string{
	"internal/rpc":                   "JSON is a protocol of the API: the codecs answer the caller whose data it is",
	"internal/rpc/mount":             "the same",
	"internal/residency":             "it is the redaction",
	"internal/cli":                   "prints what the operator asked for on the operator's own terminal",
	"internal/tour":                  "shows the answers to the calls that it makes on the user's own terminal",
	"internal/topology/topologyfile": "the topology is GLOBAL, and YAML is read by way of JSON",
	"domiciletest":                   "serves tests",
	"internal/rpc/rpctest":           "serves tests",
	"internal/apidoc/apigen":         "the messages are the examples of documents, which people wrote to be read",
	"test/...":                       "tests",
}

// addressReaders are the files that may read a caller's address, which is personal data.
var addressReaders = map[string]string{
	"internal/edge/accesslog.go":          "it is logged in the home jurisdiction only",
	"internal/lambdahost/gatewayevent.go": "it plays the gateway, which tells it to the function",
	"lambda/edge/request.go":              "it takes it over from the gateway, for the access log",
}

// leak is a way around the redacting handler.
type leak struct {
	at   token.Position
	text string
}

// allowed tells whether one of the exceptions above covers the leak. Nothing covers formatting by fmt or String: that is for logs
// and errors, wherever it stands.
func (l leak) allowed(name, file string) bool {
	switch {
	case strings.Contains(l.text, "RemoteAddr"):
		return addressReaders[file] != ""
	case strings.Contains(l.text, "json.") || strings.Contains(l.text, "prototext."):
		return mayRender(name)
	default:
		return within(name, "test/...") || within(name, "internal/rpc/rpctest")
	}
}

// No code formats a message by itself: the text would hold its PII, and the log handler sees a text only.
func TestNothingGoesAroundRedaction(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range load(t, "./...") {
		name, _ := inModule(p.PkgPath)
		if within(name, "gen/...", "internal/residency/internal/testpb") {
			continue
		}
		for _, l := range leaks(p) {
			file, err := filepath.Rel(root, l.at.Filename)
			if err != nil {
				t.Fatal(err)
			}
			if !l.allowed(name, filepath.ToSlash(file)) {
				t.Errorf("%s:%d: %s", file, l.at.Line, l.text)
			}
		}
	}
}

func mayRender(name string) bool {
	for folder := range renderers {
		if within(name, folder) {
			return true
		}
	}
	return false
}

// The rule finds each way that testdata/leaks has, and nothing else in it.
func TestLeaksAreFound(t *testing.T) {
	t.Parallel()
	pkgs := load(t, "./internal/archtest/testdata/leaks")
	want := map[int]string{}
	expectation := regexp.MustCompile(`want "(.*)"`)
	for _, group := range pkgs[0].Syntax[0].Comments {
		for _, c := range group.List {
			if m := expectation.FindStringSubmatch(c.Text); m != nil {
				want[pkgs[0].Fset.Position(c.Pos()).Line] = m[1]
			}
		}
	}
	if len(want) < 15 {
		t.Fatalf("found %d expectations", len(want))
	}
	for _, l := range leaks(pkgs[0]) {
		if text, ok := want[l.at.Line]; !ok || !strings.Contains(l.text, text) {
			t.Errorf("line %d: found %q, want %q", l.at.Line, l.text, text)
		}
		delete(want, l.at.Line)
	}
	for line, text := range want {
		t.Errorf("line %d: found nothing, want %q", line, text)
	}
}

// load type-checks packages, without their tests.
func load(t *testing.T, pattern string) []*gopackages.Package {
	t.Helper()
	pkgs, err := gopackages.Load(&gopackages.Config{
		Mode: gopackages.NeedName | gopackages.NeedFiles | gopackages.NeedImports | gopackages.NeedSyntax | gopackages.NeedTypes | gopackages.NeedTypesInfo,
		Dir:  filepath.Join("..", ".."),
	}, pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pkgs {
		for _, e := range p.Errors {
			t.Errorf("%s does not build, so the rule cannot look at it: %v", p.PkgPath, e)
		}
	}
	if len(pkgs) == 0 {
		t.Fatalf("no packages match %s", pattern)
	}
	return pkgs
}

// leaks finds what a package does to messages and addresses that the redacting handler cannot undo.
func leaks(p *gopackages.Package) []leak {
	var found []leak
	report := func(n ast.Node, format string, args ...any) {
		found = append(found, leak{p.Fset.Position(n.Pos()), fmt.Sprintf(format, args...)})
	}
	for _, file := range p.Syntax {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if s, ok := p.TypesInfo.Selections[n]; ok && s.Kind() == types.FieldVal && isField(s.Obj(), "net/http", "RemoteAddr") {
					report(n, "reads http.Request.RemoteAddr; a caller's address is personal data, only %s may", "internal/edge/accesslog.go")
				}
			case *ast.CallExpr:
				if text := renders(p.TypesInfo, n); text != "" {
					report(n, "%s; log it as an attribute of slog, or name GLOBAL fields", text)
				}
			}
			return true
		})
	}
	return found
}

func isField(obj types.Object, pkg, name string) bool {
	return obj.Pkg() != nil && obj.Pkg().Path() == pkg && obj.Name() == name
}

// renders says how a call turns a message into text; nothing when it does not.
func renders(info *types.Info, call *ast.CallExpr) string {
	callee := calleeOf(info, call)
	if callee == nil {
		return ""
	}
	signature := callee.Signature()
	pkg := ""
	if callee.Pkg() != nil {
		pkg = callee.Pkg().Path()
	}
	switch {
	case callee.Name() == "String" && signature.Recv() != nil && isMessage(receiverOf(info, call)):
		return "calls String of a protobuf message"
	case strings.HasSuffix(pkg, "/protojson") || strings.HasSuffix(pkg, "/prototext"):
		if slices.Contains([]string{"Marshal", "MarshalAppend", "Format"}, callee.Name()) {
			return "calls " + callee.Pkg().Name() + "." + callee.Name()
		}
	case pkg == "encoding/json" && slices.Contains([]string{"Marshal", "MarshalIndent", "Encode"}, callee.Name()):
		if carries(info.TypeOf(call.Args[0]), nil) {
			return "calls json." + callee.Name() + " with a protobuf message"
		}
	case pkg != "log/slog" && takesAnything(signature) && formatsMessage(info, call, signature):
		return "formats a protobuf message by " + callee.Name()
	}
	return ""
}

// calleeOf returns the function or method that is called by its name; nil for function values, conversions and built-ins.
func calleeOf(info *types.Info, call *ast.CallExpr) *types.Func {
	fun := ast.Unparen(call.Fun)
	if index, ok := fun.(*ast.IndexExpr); ok {
		fun = index.X
	}
	var name *ast.Ident
	switch f := fun.(type) {
	case *ast.Ident:
		name = f
	case *ast.SelectorExpr:
		name = f.Sel
	default:
		return nil
	}
	callee, _ := info.Uses[name].(*types.Func)
	return callee
}

func receiverOf(info *types.Info, call *ast.CallExpr) types.Type {
	if selector, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok {
		return info.TypeOf(selector.X)
	}
	return types.Typ[types.Invalid]
}

// takesAnything tells whether a function ends in args ...any, as those that format do.
func takesAnything(s *types.Signature) bool {
	if !s.Variadic() {
		return false
	}
	last, ok := s.Params().At(s.Params().Len() - 1).Type().(*types.Slice)
	if !ok {
		return false
	}
	if _, generic := last.Elem().(*types.TypeParam); generic {
		return false // It takes what its caller says, e.g. slices.Insert.
	}
	element, ok := last.Elem().Underlying().(*types.Interface)
	return ok && element.Empty()
}

// formatsMessage tells whether one of the variadic arguments carries a message and is not printed by %T, its type's name.
func formatsMessage(info *types.Info, call *ast.CallExpr, s *types.Signature) bool {
	first := s.Params().Len() - 1
	if len(call.Args) <= first {
		return false
	}
	verbs := ""
	if first > 0 {
		if v := info.Types[call.Args[first-1]].Value; v != nil && v.Kind() == constant.String {
			verbs = constant.StringVal(v)
		}
	}
	onlyTypes := strings.Contains(verbs, "%T") && strings.Count(verbs, "%T") == strings.Count(verbs, "%")
	return !onlyTypes && slices.ContainsFunc(call.Args[first:], func(arg ast.Expr) bool { return carries(info.TypeOf(arg), nil) })
}

// isMessage tells whether a type has the method that makes it a proto.Message.
func isMessage(t types.Type) bool {
	obj, _, _ := types.LookupFieldOrMethod(t, true, nil, "ProtoReflect")
	method, ok := obj.(*types.Func)
	if !ok || method.Signature().Results().Len() != 1 {
		return false
	}
	return strings.HasSuffix(method.Signature().Results().At(0).Type().String(), "protoreflect.Message")
}

// carries tells whether printing a value of a type may print a message. A type with a text of its own prints that.
func carries(t types.Type, seen []types.Type) bool {
	if t == nil || slices.Contains(seen, t) {
		return false
	}
	if isMessage(t) {
		return true
	}
	if has(t, "Error") || has(t, "String") {
		return false
	}
	seen = append(seen, t)
	switch u := t.Underlying().(type) {
	case *types.Pointer:
		return carries(u.Elem(), seen)
	case *types.Slice:
		return carries(u.Elem(), seen)
	case *types.Array:
		return carries(u.Elem(), seen)
	case *types.Map:
		return carries(u.Key(), seen) || carries(u.Elem(), seen)
	case *types.Struct:
		for f := range u.Fields() {
			if carries(f.Type(), seen) {
				return true
			}
		}
	}
	return false
}

// has tells whether a type has a method without parameters that returns a string.
func has(t types.Type, name string) bool {
	obj, _, _ := types.LookupFieldOrMethod(t, false, nil, name)
	method, ok := obj.(*types.Func)
	return ok && method.Signature().Params().Len() == 0 && method.Signature().Results().Len() == 1
}
