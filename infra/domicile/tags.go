package domicile

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/domicile-api/domicile/infra/access"
)

// The tags that every resource has. Policies of the organisation decide by the class and the jurisdiction.
const (
	TagDeployment   = "domicile:deployment"
	TagClass        = "domicile:class"
	TagJurisdiction = "domicile:jurisdiction"
	// TagRegion is on roles: the region that they belong to.
	TagRegion = "domicile:region"
	// TagSchema is on tables and queues: the version of their layout, which the adapters check when they open one.
	TagSchema = "domicile:schema"
	// Schema is the layout that this release knows.
	Schema = "1"
)

// newStack makes a stack of a region with the tags that all its resources share. What says nothing else is of class GLOBAL.
func newStack(scope constructs.Construct, d *Deployment, r Region, id, description string) awscdk.Stack {
	stack := awscdk.NewStack(scope, jsii.String(d.name(id)), &awscdk.StackProps{
		StackName:             jsii.String(d.name(id)),
		Description:           jsii.String(description),
		Env:                   &awscdk.Environment{Account: jsii.String(r.Account), Region: jsii.String(r.ID)},
		AnalyticsReporting:    jsii.Bool(false),
		TerminationProtection: jsii.Bool(!d.cfg.Unprotected),
		Tags: &map[string]*string{
			TagDeployment: jsii.String(d.cfg.Name),
		},
	})
	tag(stack, TagDeployment, d.cfg.Name)
	tag(stack, TagJurisdiction, r.Jurisdiction)
	tag(stack, TagClass, string(access.Global))
	return stack
}

// classify says what a resource can hold.
func classify(c constructs.IConstruct, class access.Class) { tag(c, TagClass, string(class)) }

func tag(c constructs.IConstruct, key, value string) {
	awscdk.Tags_Of(c).Add(jsii.String(key), jsii.String(value), nil)
}

// untag takes the tags from what cfn-lint's copy of the specification has none for. It is part of what has them.
func untag(c constructs.IConstruct) {
	for _, key := range []string{TagDeployment, TagClass, TagJurisdiction} {
		awscdk.Tags_Of(c).Remove(jsii.String(key), nil)
	}
}

// exempt records beside a resource why a rule of checkov does not hold for it; checkov reads it there.
func exempt(c awscdk.CfnResource, exemptions ...exemption) {
	skip := make([]any, len(exemptions))
	for i, e := range exemptions {
		skip[i] = map[string]any{"id": e.rule, "comment": e.reason}
	}
	c.AddMetadata(jsii.String("checkov"), map[string]any{"skip": skip})
}

// exemption is a rule and the reason why it is not kept.
type exemption struct{ rule, reason string }

// keep makes a resource outlive its stack, unless the deployment is unprotected.
func (d *Deployment) keep(c awscdk.CfnResource) {
	policy := awscdk.RemovalPolicy_RETAIN
	if d.cfg.Unprotected {
		policy = awscdk.RemovalPolicy_DESTROY
	}
	c.ApplyRemovalPolicy(policy, nil)
}

func texts(values ...string) *[]*string { return jsii.Strings(values...) }
