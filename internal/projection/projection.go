// Package projection writes the projection messages of entities: an entity lists the names and scopes of its projections, and
// what each has follows from the classes of the entity's fields. A message is written in the entity's own file, in the place where
// it was or else after the entity (docs/decisions/0012-projections-are-written-in-place.md says why).
//
// It promises that what it writes passes the residency check, that writing twice changes nothing, and that it changes nothing but
// the bodies of the messages that entities list. What it cannot write it refuses with file, line and column, and writes nothing at all.
package projection

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/protofile"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/residency/check"
)

// before are the rules that an entity must pass before anything can be told about its projections.
func before() []string {
	return []string{"DOMICILE_FIELD_CLASSIFIED", "DOMICILE_FIELD_REACH", "DOMICILE_ENTITY_TYPED", "DOMICILE_ENTITY_KEY"}
}

// after is the rule that what was written must pass.
func after() []string { return []string{"DOMICILE_PROJECTION_EXACT", "DOMICILE_FIELD_REACH"} }

// Stale is a message that is not what its entity's classes say.
type Stale struct {
	// At is file, line and column of the message, or of the entity when the message is not there.
	At string
	// Message and Entity are their names in the file.
	Message, Entity string
}

// Result is what the files are to have.
type Result struct {
	// Texts are the new texts of the files that change, by path.
	Texts map[string]string
	// Stale are the messages that change, in the order of the files.
	Stale []Stale
}

// Write makes the projections of all entities of a set.
func Write(ctx context.Context, set *protofile.Set) (*Result, error) {
	plans, err := planAll(set)
	if err != nil {
		return nil, err
	}
	result := &Result{Texts: map[string]string{}}
	if len(plans) == 0 {
		return result, nil
	}
	// The projections may not be there yet, and what uses them is: with empty ones in their places the files compile.
	hollow := set.With(textsOf(plans, (*plan).hollow))
	files, err := compile(ctx, hollow, before())
	if err != nil {
		return nil, err
	}
	for _, p := range plans {
		if err := p.render(hollow, files[p.path]); err != nil {
			return nil, err
		}
	}
	texts := textsOf(plans, (*plan).text)
	if _, err := compile(ctx, set.With(texts), after()); err != nil {
		return nil, fmt.Errorf("what was written is refused, and not kept:\n%w", err)
	}
	for _, p := range plans {
		if texts[p.path] != set.Text(p.path) {
			result.Texts[p.path] = texts[p.path]
			result.Stale = append(result.Stale, p.stale()...)
		}
	}
	return result, nil
}

func textsOf(plans []*plan, text func(*plan) string) map[string]string {
	texts := make(map[string]string, len(plans))
	for _, p := range plans {
		texts[p.path] = text(p)
	}
	return texts
}

// planAll plans each file that has an entity with projections.
func planAll(set *protofile.Set) ([]*plan, error) {
	var plans []*plan
	var problems []error
	for _, path := range set.Paths() {
		p, err := planFile(set, path)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if len(p.written) > 0 {
			plans = append(plans, p)
		}
	}
	return plans, errors.Join(problems...)
}

// compile makes descriptors of all files and holds them to rules of the residency check.
func compile(ctx context.Context, set *protofile.Set, rules []string) (map[string]protoreflect.FileDescriptor, error) {
	compiled, err := set.Compile(ctx, set.Paths()...)
	if err != nil {
		return nil, err
	}
	files := make(map[string]protoreflect.FileDescriptor, len(compiled))
	contract := &check.Contract{}
	for _, f := range compiled {
		files[f.Path()] = f
		contract.Files = append(contract.Files, f)
	}
	var problems []error
	for _, rule := range check.Rules() {
		if !slices.Contains(rules, rule.ID) {
			continue
		}
		for _, finding := range rule.Check(contract) {
			problems = append(problems, fmt.Errorf("%s: %s", set.At(finding.At), finding.Text))
		}
	}
	return files, errors.Join(problems...)
}

// entityOf finds the entity of a projection and checks that the file says what was read before it was compiled.
func entityOf(set *protofile.Set, file protoreflect.FileDescriptor, w *written) (protoreflect.MessageDescriptor, error) {
	md := file.Messages().ByName(protoreflect.Name(w.entity))
	options, ok := residency.EntityOf(md)
	listed := slices.ContainsFunc(options.GetProjections(), func(p *policyv1.WrittenProjection) bool {
		return p.GetName() == w.name && p.GetScope() == w.scope
	})
	if !ok || !listed {
		return nil, fmt.Errorf("%s: %s must say what it is in one option (domicile.policy.v1.entity) = {…}", set.At(md), w.entity)
	}
	return md, nil
}
