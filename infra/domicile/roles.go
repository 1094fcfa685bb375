package domicile

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"

	"github.com/domicile-api/domicile/infra/access"
)

// places is access.Places of a region. Of other regions it knows names alone.
type places struct {
	d    *Deployment
	r    Region
	data *DataStack
	// failures is the ARN of the queue of stream positions that the relay gave up.
	failures string
}

func (at places) ARNs(p access.Process, s access.Store) []string {
	d, r := at.d, at.r
	switch s {
	case access.Directory, access.RegionalTable, access.KeysTable, access.ReplicaTable, access.SettingsTable:
		return []string{d.tableARN(r, string(s))}
	case access.RegionalStream:
		return []string{*at.data.Regional.AttrStreamArn()}
	case access.StreamList, access.Registry:
		return []string{"*"}
	case access.TenantsKey:
		return []string{*at.data.Tenants.AttrArn()}
	case access.EventsQueue, access.EventsDead, access.SealedQueue, access.SealedDead, access.RelayFailures:
		return at.queues(s)
	case access.Snapshots:
		return []string{"arn:aws:s3:::" + d.bucketName(r), "arn:aws:s3:::" + d.bucketName(r) + "/" + snapshotObject}
	case access.RouteKey, access.PeerKey:
		return []string{*at.data.Secrets[string(s)].Ref()}
	case access.Topology:
		return []string{arn(r, "ssm", "parameter"+d.topologyParameterName())}
	case access.Image:
		return d.imageARNs(r)
	case access.Logs:
		return at.logs(p)
	default:
		return at.remote(s)
	}
}

// queues are of the region's own. A region alone in its jurisdiction has no sealed ones.
func (at places) queues(s access.Store) []string {
	switch {
	case s == access.RelayFailures:
		return []string{at.failures}
	case (s == access.SealedQueue || s == access.SealedDead) && !at.d.HasSealed(at.r):
		return nil
	default:
		return []string{at.d.queueARN(at.r, string(s))}
	}
}

// remote returns what lies in other regions.
func (at places) remote(s access.Store) []string {
	var all []string
	switch s {
	case access.RemoteEvents:
		for _, other := range at.d.Others(at.r) {
			all = append(all, at.d.queueARN(other, events))
		}
	case access.LawfulSealed:
		for _, other := range at.d.Lawful(at.r) {
			all = append(all, at.d.queueARN(other, sealed))
		}
	case access.LawfulTenantsKeys:
		for _, other := range at.d.Lawful(at.r) {
			all = append(all, arn(other, "kms", "key/*"))
		}
	default:
	}
	return all
}

// logs are a process's log streams. The agent writes those of the tasks.
func (at places) logs(p access.Process) []string {
	of := []access.Process{p}
	if p == access.Agent {
		of = []access.Process{access.EdgeTask, access.Services}
	}
	all := make([]string, 0, len(of))
	for _, process := range of {
		all = append(all, arn(at.r, "logs", "log-group:"+at.d.logGroup(process)+":log-stream:*"))
	}
	return all
}

func (at places) OwnPartitions() []string { return at.d.OwnPartitions(at.r) }

func (at places) KeyConditions(s access.Store) map[string]map[string][]string {
	conditions := map[string]map[string][]string{}
	if s == access.LawfulTenantsKeys {
		conditions["ForAnyValue:StringEquals"] = map[string][]string{"kms:ResourceAliases": {at.d.tenantsAlias()}}
	}
	return conditions
}

func (at places) StorageKey() string { return *at.data.Storage.AttrArn() }

func (at places) ViaHere(service string) string { return via(at.r, service) }

func (at places) LawfulStorageKeys() []access.RemoteKey {
	lawful := at.d.Lawful(at.r)
	all := make([]access.RemoteKey, 0, len(lawful))
	for i, other := range lawful {
		all = append(all, access.RemoteKey{
			Sid: fmt.Sprintf("SendThroughStorageKey%d", i+1), Resource: arn(other, "kms", "key/*"),
			Condition: map[string]map[string][]string{
				"ForAnyValue:StringEquals": {"kms:ResourceAliases": {at.d.storageAlias()}},
				"StringEquals":             {"kms:ViaService": {via(other, "sqs")}},
			},
		})
	}
	return all
}

// newRole makes the role of a process. Its name is known before it is made, since policies elsewhere name it; its tags say what law it is
// under.
func newRole(stack awscdk.Stack, at places, p access.Process) awsiam.CfnRole {
	service := "lambda.amazonaws.com"
	trust := access.Statement{
		Sid: "Assume", Effect: "Allow", Action: []string{"sts:AssumeRole"}, Principal: map[string]any{"Service": service},
	}
	if p == access.EdgeTask || p == access.Services || p == access.Agent {
		trust.Principal = map[string]any{"Service": "ecs-tasks.amazonaws.com"}
		trust.Condition = map[string]map[string][]string{
			"ArnLike":      {"aws:SourceArn": {arn(at.r, "ecs", "*")}},
			"StringEquals": {"aws:SourceAccount": {at.r.Account}},
		}
	}
	role := awsiam.NewCfnRole(stack, jsii.String("Role"+pascal(string(p))), &awsiam.CfnRoleProps{
		RoleName:                 jsii.String(at.d.roleName(at.r, p)),
		Description:              jsii.String("Process " + string(p) + " of " + at.r.ID + ", jurisdiction " + at.r.Jurisdiction + "."),
		AssumeRolePolicyDocument: document(access.PolicyOf(trust)),
		Policies: []any{map[string]any{
			"policyName": "access", "policyDocument": document(access.PolicyOf(access.Statements(p, at)...)),
		}},
	})
	classify(role, highest(p))
	tag(role, TagRegion, at.r.ID)
	return role
}

// highest returns the highest class that a process touches.
func highest(p access.Process) access.Class {
	class := access.Global
	for _, g := range access.Grants(p) {
		switch c := access.ClassOf(g.Store); {
		case c == access.PII, c == access.Regional && class == access.Global:
			class = c
		}
	}
	return class
}
