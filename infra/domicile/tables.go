package domicile

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/jsii-runtime-go"

	"github.com/domicile-api/domicile/infra/access"
)

// How far back a table can be brought, in days. Backups of this kind stay in the table's own region, and so in its jurisdiction.
const (
	// regionalRecovery is the longest there is: what is in the table is sealed, and a purged tenant's backups cannot be opened.
	regionalRecovery = 35
	// keysRecovery is the shortest there is, so that destroying a key erases within a day. None at all would make one wrong delete,
	// by a person or a release, the end of every tenant that has no standby.
	keysRecovery = 1
	// settingsRecovery is the longest there is: settings are GLOBAL, and their own region may be the only one that has them yet.
	settingsRecovery = 35
)

// table is what a region's tables differ in.
type table struct {
	store access.Store
	// recovery is how many days it can be brought back; 0 for none.
	recovery int
	stream   bool
}

// newTables makes the tables of a region and returns the regional one.
func newTables(stack awscdk.Stack, d *Deployment, storage awskms.CfnKey) awsdynamodb.CfnTable {
	regional := newTable(stack, d, storage, "Regional", table{access.RegionalTable, regionalRecovery, true})
	newTable(stack, d, storage, "Keys", table{access.KeysTable, keysRecovery, false})
	newTable(stack, d, storage, "Settings", table{access.SettingsTable, settingsRecovery, false})
	replica := newTable(stack, d, storage, "Replica", table{access.ReplicaTable, 0, true})
	exempt(
		replica,
		exemption{"CKV_AWS_28", "holds copies of what other regions have, which their relays and the repair send again; a backup would be one " +
			"more place where a purge has to be waited for"},
	)
	return regional
}

func newTable(stack awscdk.Stack, d *Deployment, storage awskms.CfnKey, id string, t table) awsdynamodb.CfnTable {
	props := &awsdynamodb.CfnTableProps{
		TableName:                 jsii.String(d.name(string(t.store))),
		BillingMode:               jsii.String("PAY_PER_REQUEST"),
		AttributeDefinitions:      keyAttributes(),
		KeySchema:                 keySchema(),
		TimeToLiveSpecification:   timeToLive(),
		DeletionProtectionEnabled: !d.cfg.Unprotected,
		SseSpecification:          map[string]any{"sseEnabled": true, "sseType": "KMS", "kmsMasterKeyId": storage.AttrArn()},
	}
	if t.recovery > 0 {
		props.PointInTimeRecoverySpecification = map[string]any{"pointInTimeRecoveryEnabled": true, "recoveryPeriodInDays": t.recovery}
	}
	if t.stream {
		props.StreamSpecification = map[string]any{"streamViewType": "KEYS_ONLY"}
	}
	made := awsdynamodb.NewCfnTable(stack, jsii.String(id), props)
	d.keep(made)
	classify(made, access.ClassOf(t.store))
	tag(made, TagSchema, Schema)
	return made
}
