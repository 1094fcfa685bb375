package domicile

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// DataStack has all that holds data in a region: tables, queues, keys, the snapshot bucket, secrets and the topology file. Nothing in it
// runs. Only what every emulator of CloudFormation knows is used here, so that the same stack can be tried on one machine.
type DataStack struct {
	Stack  awscdk.Stack
	Region Region
	// Storage encrypts the region's stores at rest; Tenants wraps tenants' data keys.
	Storage, Tenants awskms.CfnKey
	// Regional is the table whose change stream the relay follows.
	Regional awsdynamodb.CfnTable
	// Secrets are the seeds of the region's keys: "route-key" and "peer-key".
	Secrets map[string]awssecretsmanager.CfnSecret
}

// NewDataStack makes the stack of a region.
func NewDataStack(scope constructs.Construct, d *Deployment, r Region) *DataStack {
	s := &DataStack{
		Stack: newStack(scope, d, r, "data-"+r.ID, "Data of "+r.ID+", jurisdiction "+r.Jurisdiction+"."), Region: r,
	}
	s.Storage, s.Tenants = newStorageKey(s.Stack, d, r), newTenantsKey(s.Stack, d, r)
	s.Regional = newTables(s.Stack, d, s.Storage)
	newQueues(s.Stack, d, r, s.Storage)
	newBucket(s.Stack, d, r, s.Storage)
	s.Secrets = newSecrets(s.Stack, d, s.Storage)
	newTopologyParameter(s.Stack, d)
	if d.ManyAccounts() && !r.Control {
		newDirectoryReplica(s.Stack, d, r)
	}
	return s
}

// newDirectoryReplica is the region's copy of a directory that lies in another account.
func newDirectoryReplica(stack awscdk.Stack, d *Deployment, r Region) {
	table := awsdynamodb.NewCfnGlobalTable(stack, jsii.String("Directory"), &awsdynamodb.CfnGlobalTableProps{
		TableName:            jsii.String(d.name("directory")),
		GlobalTableSourceArn: jsii.String(d.tableARN(d.Control(), "directory")),
		Replicas:             []any{d.directoryReplica(r)},
	})
	d.keep(table)
}
