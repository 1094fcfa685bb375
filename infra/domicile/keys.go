package domicile

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/jsii-runtime-go"

	"github.com/domicile-api/domicile/infra/access"
)

// pendingDays is how long a key that is to be deleted can be brought back: as long as KMS allows, since all data of the region that has no
// standby goes with it.
const pendingDays = 30

// newTenantsKey makes the key that wraps tenants' data keys in a region. Its policy, not IAM, says who may use it: the account may
// administer it and not use it; the region's own processes decrypt; those of lawful regions that provision tenants encrypt.
func newTenantsKey(stack awscdk.Stack, d *Deployment, r Region) awskms.CfnKey {
	key := newKey(stack, d, "Tenants", "Wraps the data keys of tenants that "+r.ID+" may open.", d.tenantsAlias(), d.TenantsKeyPolicy(r))
	classify(key, access.PII)
	return key
}

// newStorageKey makes the key that encrypts tables, queues, bucket, secrets, logs and alarms of a region.
func newStorageKey(stack awscdk.Stack, d *Deployment, r Region) awskms.CfnKey {
	key := newKey(stack, d, "Storage", "Encrypts the stores of "+r.ID+" at rest.", d.storageAlias(), d.StorageKeyPolicy(r))
	classify(key, access.PII)
	return key
}

func newKey(stack awscdk.Stack, d *Deployment, id, description, alias string, policy access.Policy) awskms.CfnKey {
	key := awskms.NewCfnKey(stack, jsii.String(id+"Key"), &awskms.CfnKeyProps{
		Description:         jsii.String(description),
		EnableKeyRotation:   true,
		PendingWindowInDays: jsii.Number(pendingDays),
		KeyPolicy:           document(policy),
	})
	d.keep(key)
	awskms.NewCfnAlias(stack, jsii.String(id+"Alias"), &awskms.CfnAliasProps{AliasName: jsii.String(alias), TargetKeyId: key.AttrArn()})
	return key
}

// TenantsKeyPolicy returns the policy of the key that wraps tenants' data keys in a region.
func (d *Deployment) TenantsKeyPolicy(r Region) access.Policy {
	own := []Region{r}
	statements := []access.Statement{
		administer(r),
		useTenantsKey(
			"DecryptAtHome", []string{r.Account},
			access.Actions(access.TenantsKey, access.Decrypt), d.roleARNs(own, access.TenantsKey, access.Decrypt),
		),
		useTenantsKey(
			"EncryptAtHome", []string{r.Account},
			access.Actions(access.TenantsKey, access.Encrypt), d.roleARNs(own, access.TenantsKey, access.Encrypt),
		),
	}
	if lawful := d.Lawful(r); len(lawful) > 0 {
		statements = append(statements, useTenantsKey(
			"EncryptFromLawfulRegions", accountsOf(lawful),
			access.Actions(access.LawfulTenantsKeys, access.Encrypt), d.roleARNs(lawful, access.LawfulTenantsKeys, access.Encrypt),
		))
	}
	// Every role of the region may ask what key this is; every other jurisdiction may do nothing, whatever its own policies say.
	return access.PolicyOf(append(append(statements, denyOtherJurisdictions(r)), d.denyOtherContexts(r)...)...)
}

// useTenantsKey lets roles use the key. They are named by a condition and not as principals: a policy with a principal that is not there
// yet is refused, and roles come after keys. A principal that is an account leaves the decision to that account's policies as well, so
// both must agree.
func useTenantsKey(sid string, accounts, actions, roles []string) access.Statement {
	return access.Statement{
		Sid: sid, Effect: "Allow", Principal: principals(accounts), Action: actions, Resource: []string{"*"},
		Condition: map[string]map[string][]string{"ArnEquals": {"aws:PrincipalArn": roles}},
	}
}

// The encryption context that internal/seal/kms binds what it wraps to.
const (
	contextDeployment = "kms:EncryptionContext:domicile:deployment"
	contextRegion     = "kms:EncryptionContext:domicile:region"
)

// denyOtherContexts refuses to encrypt and decrypt anything that is not bound to the deployment and the region. Each key of a context has
// a statement of its own: within one, all conditions must hold.
func (d *Deployment) denyOtherContexts(r Region) []access.Statement {
	deny := func(sid, key, value string) access.Statement {
		return access.Statement{
			Sid: sid, Effect: "Deny", Principal: map[string]any{"AWS": "*"}, Action: []string{"kms:Decrypt", "kms:Encrypt"},
			Resource:  []string{"*"},
			Condition: map[string]map[string][]string{"StringNotEquals": {key: {value}}},
		}
	}
	return []access.Statement{
		deny("DenyOtherDeployments", contextDeployment, d.cfg.Name), deny("DenyOtherRegions", contextRegion, r.ID),
	}
}

// StorageKeyPolicy returns the policy of the key that encrypts a region's stores.
func (d *Deployment) StorageKeyPolicy(r Region) access.Policy {
	services := []string{via(r, "dynamodb"), via(r, "s3"), via(r, "secretsmanager"), via(r, "sqs")}
	statements := []access.Statement{
		administer(r),
		{
			Sid: "UseThroughServices", Effect: "Allow", Principal: principals([]string{r.Account}), Resource: []string{"*"},
			Action: []string{
				"kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext",
				"kms:ReEncryptFrom", "kms:ReEncryptTo",
			},
			Condition: map[string]map[string][]string{"StringEquals": {"kms:ViaService": services}},
		},
		{
			Sid: "GrantToDynamoDB", Effect: "Allow", Principal: principals([]string{r.Account}), Resource: []string{"*"},
			Action: []string{"kms:CreateGrant"},
			Condition: map[string]map[string][]string{
				"Bool":         {"kms:GrantIsForAWSResource": {"true"}},
				"StringEquals": {"kms:ViaService": {via(r, "dynamodb")}},
			},
		},
		d.encryptLogs(r),
		encryptAlarms(r),
	}
	if lawful := d.Lawful(r); len(lawful) > 0 {
		statements = append(statements, access.Statement{
			Sid: "SendSealedFromLawfulRegions", Effect: "Allow", Principal: principals(accountsOf(lawful)), Resource: []string{"*"},
			Action: access.SendSealedActions(),
			Condition: map[string]map[string][]string{
				"ArnEquals":    {"aws:PrincipalArn": d.roleARNs(lawful, access.LawfulSealed, access.Send)},
				"StringEquals": {"kms:ViaService": {via(r, "sqs")}},
			},
		})
	}
	return access.PolicyOf(append(statements, denyOtherJurisdictions(r))...)
}

// encryptLogs lets CloudWatch Logs encrypt the deployment's log groups.
func (d *Deployment) encryptLogs(r Region) access.Statement {
	return access.Statement{
		Sid: "EncryptLogs", Effect: "Allow", Principal: map[string]any{"Service": "logs." + r.ID + ".amazonaws.com"},
		Resource: []string{"*"},
		Action:   []string{"kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"},
		Condition: map[string]map[string][]string{"ArnLike": {"kms:EncryptionContext:aws:logs:arn": {
			arn(r, "logs", "log-group:/aws/*/"+d.name("*")), arn(r, "logs", "log-group:/"+d.cfg.Name+"/*"),
		}}},
	}
}

// encryptAlarms lets what tells of alarms encrypt them on their way through the topic.
func encryptAlarms(r Region) access.Statement {
	return access.Statement{
		Sid: "EncryptAlarms", Effect: "Allow", Resource: []string{"*"},
		Principal: map[string]any{"Service": []string{"cloudwatch.amazonaws.com", "events.amazonaws.com"}},
		Action:    []string{"kms:Decrypt", "kms:GenerateDataKey"},
		Condition: map[string]map[string][]string{"StringEquals": {"aws:SourceAccount": {r.Account}}},
	}
}

// administer lets the account look after the key and not use it: there is no action here that encrypts or decrypts, or lets another.
func administer(r Region) access.Statement {
	return access.Statement{
		Sid: "Administer", Effect: "Allow", Principal: principals([]string{r.Account}), Resource: []string{"*"},
		Action: []string{
			"kms:CancelKeyDeletion", "kms:CreateAlias", "kms:DeleteAlias", "kms:DescribeKey", "kms:DisableKey", "kms:DisableKeyRotation",
			"kms:EnableKey", "kms:EnableKeyRotation", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListAliases", "kms:ListGrants",
			"kms:ListKeyPolicies", "kms:ListResourceTags", "kms:ListRetirableGrants", "kms:PutKeyPolicy", "kms:RevokeGrant",
			"kms:RotateKeyOnDemand", "kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UntagResource", "kms:UpdateAlias",
			"kms:UpdateKeyDescription",
		},
	}
}

// denyOtherJurisdictions refuses the key to every principal that is tagged with another jurisdiction, whatever else is allowed to it.
func denyOtherJurisdictions(r Region) access.Statement {
	return access.Statement{
		Sid: "DenyOtherJurisdictions", Effect: "Deny", Principal: map[string]any{"AWS": "*"}, Resource: []string{"*"},
		Action: []string{
			"kms:CreateGrant", "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyPair",
			"kms:GenerateDataKeyPairWithoutPlaintext", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo",
		},
		Condition: map[string]map[string][]string{
			"Null":            {"aws:PrincipalTag/" + TagJurisdiction: {"false"}},
			"StringNotEquals": {"aws:PrincipalTag/" + TagJurisdiction: {r.Jurisdiction}},
		},
	}
}

func principals(accounts []string) map[string]any {
	all := make([]string, len(accounts))
	for i, account := range accounts {
		all[i] = "arn:aws:iam::" + account + ":root"
	}
	return map[string]any{"AWS": all}
}

// accountsOf returns the accounts of some regions, each once, in their order.
func accountsOf(regions []Region) []string {
	var all []string
	seen := map[string]bool{}
	for _, r := range regions {
		if !seen[r.Account] {
			all = append(all, r.Account)
		}
		seen[r.Account] = true
	}
	return all
}
