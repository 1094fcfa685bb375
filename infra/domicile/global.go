package domicile

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/domicile-api/domicile/infra/access"
)

// GlobalStack lies in the control region and has the directory: a global table with a replica in every region.
type GlobalStack struct {
	Stack awscdk.Stack
}

// directoryRecoveryDays is the longest that DynamoDB keeps. The directory holds no content, and losing it loses who lives where.
const directoryRecoveryDays = 35

// NewGlobalStack makes the stack. The table is encrypted with AWS's own key: it holds GLOBAL data alone and is read in every jurisdiction, so
// a customer's key of one of them would put all others under its law, and one for each would add nothing.
//
// Where all regions share an account, DynamoDB makes the replicas from here; where each has its own, the
// table is made here alone and each DataStack makes its replica of it.
func NewGlobalStack(scope constructs.Construct, d *Deployment) *GlobalStack {
	control := d.Control()
	stack := newStack(scope, d, control, "global", "The directory of all regions: classes GLOBAL only.")
	replicas := []any{}
	for _, r := range d.Regions() {
		if !d.ManyAccounts() || r.ID == control.ID {
			replicas = append(replicas, d.directoryReplica(r))
		}
	}
	table := awsdynamodb.NewCfnGlobalTable(stack, jsii.String("Directory"), &awsdynamodb.CfnGlobalTableProps{
		TableName:            jsii.String(d.name("directory")),
		BillingMode:          jsii.String("PAY_PER_REQUEST"),
		AttributeDefinitions: keyAttributes(),
		KeySchema:            keySchema(),
		// Global tables of version 2019.11.21 replicate by this stream.
		StreamSpecification:     map[string]any{"streamViewType": "NEW_AND_OLD_IMAGES"},
		TimeToLiveSpecification: timeToLive(),
		Replicas:                replicas,
	})
	d.keep(table)
	return &GlobalStack{Stack: stack}
}

// directoryReplica is the directory in one region. Tags of a global table are each replica's own.
func (d *Deployment) directoryReplica(r Region) *awsdynamodb.CfnGlobalTable_ReplicaSpecificationProperty {
	spec := &awsdynamodb.CfnGlobalTable_ReplicaSpecificationProperty{
		Region:                    jsii.String(r.ID),
		DeletionProtectionEnabled: !d.cfg.Unprotected,
		PointInTimeRecoverySpecification: &awsdynamodb.CfnGlobalTable_PointInTimeRecoverySpecificationProperty{
			PointInTimeRecoveryEnabled: true, RecoveryPeriodInDays: jsii.Number(directoryRecoveryDays),
		},
		Tags: &[]*awscdk.CfnTag{
			{Key: jsii.String(TagClass), Value: jsii.String(string(access.Global))},
			{Key: jsii.String(TagDeployment), Value: jsii.String(d.cfg.Name)},
			{Key: jsii.String(TagJurisdiction), Value: jsii.String(r.Jurisdiction)},
			{Key: jsii.String(TagSchema), Value: jsii.String(Schema)},
		},
	}
	if d.ManyAccounts() {
		spec.GlobalTableSettingsReplicationMode = jsii.String("ENABLED")
		spec.ResourcePolicy = map[string]any{"policyDocument": d.directoryPolicy(r)}
	}
	return spec
}

// directoryPolicy lets DynamoDB replicate between the accounts of the deployment, as CDK's own construct for it does: its replication service
// may read and write each replica, and the other accounts may join the control region's table.
func (d *Deployment) directoryPolicy(r Region) any {
	statements := []access.Statement{{
		Sid: "ReplicateBetweenAccounts", Effect: "Allow",
		Principal: map[string]any{"Service": "replication.dynamodb.amazonaws.com"},
		Action:    []string{"dynamodb:ReadDataForReplication", "dynamodb:ReplicateSettings", "dynamodb:WriteDataForReplication"},
		Resource:  []string{"*"},
		Condition: map[string]map[string][]string{"StringEquals": {"aws:SourceAccount": accountsOf(d.regions)}},
	}}
	if r.Control {
		statements = append(statements, access.Statement{
			Sid: "JoinFromAccounts", Effect: "Allow", Principal: principals(accountsOf(d.Others(r))),
			Action: []string{"dynamodb:AssociateTableReplica"}, Resource: []string{"*"},
		})
	}
	return document(access.PolicyOf(statements...))
}

// document turns a policy into what CDK takes. A policy is made of texts alone, which JSON always has a form for.
func document(p access.Policy) map[string]any {
	m, err := p.Document()
	if err != nil {
		panic("a policy that is no JSON: " + err.Error())
	}
	return m
}

func keyAttributes() []any {
	return []any{
		map[string]any{"attributeName": "pk", "attributeType": "B"},
		map[string]any{"attributeName": "sk", "attributeType": "B"},
	}
}

func keySchema() []any {
	return []any{
		map[string]any{"attributeName": "pk", "keyType": "HASH"},
		map[string]any{"attributeName": "sk", "keyType": "RANGE"},
	}
}

func timeToLive() map[string]any { return map[string]any{"attributeName": "ttl", "enabled": true} }
