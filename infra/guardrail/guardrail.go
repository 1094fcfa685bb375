// Package guardrail writes the policies that hold rule 1 of DESIGN.md, residency, against a mistake in the code or in a role: service control
// policies for AWS Organizations, one for each jurisdiction, and the key policies of its regions, for people to read.
//
// A service control policy is attached to the organisational unit or the accounts of a jurisdiction. It bounds everybody there, roles of the
// deployment and administrators alike, and grants nothing. Where all jurisdictions share an account, the statements that decide by the
// tags of principal and resource still tell them apart; those that decide by region do as much as the regions are apart.
package guardrail

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/domicile-api/domicile/infra/access"
	"github.com/domicile-api/domicile/infra/domicile"
)

// maxSize is how many characters a service control policy may have, white space apart.
const maxSize = 5120

// Files returns the policies of a deployment by file name, each with a newline at its end. It fails if a service control policy is too long for
// AWS Organizations.
func Files(d *domicile.Deployment) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, law := range jurisdictions(d) {
		policy := ServiceControl(d, law)
		compact, err := json.Marshal(policy)
		if err != nil {
			return nil, fmt.Errorf("the policy of %s: %w", law, err)
		}
		if len(compact) > maxSize {
			return nil, fmt.Errorf("the service control policy of %s has %d characters; AWS Organizations takes %d", law, len(compact), maxSize)
		}
		if err := put(files, "scp-"+law+".json", policy); err != nil {
			return nil, err
		}
	}
	for _, r := range d.Regions() {
		if err := put(files, "key-tenants-"+r.ID+".json", d.TenantsKeyPolicy(r)); err != nil {
			return nil, err
		}
		if err := put(files, "key-storage-"+r.ID+".json", d.StorageKeyPolicy(r)); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// Write writes the policies of a deployment into a folder, which must be there.
func Write(d *domicile.Deployment, folder string) error {
	files, err := Files(d)
	if err != nil {
		return err
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o644); err != nil { //nolint:gosec // for people to read
			return fmt.Errorf("writing a policy: %w", err)
		}
	}
	return nil
}

func put(files map[string][]byte, name string, p access.Policy) error {
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("the policy %s: %w", name, err)
	}
	files[name] = append(data, '\n')
	return nil
}

func jurisdictions(d *domicile.Deployment) []string {
	var all []string
	for _, r := range d.Regions() {
		if !slices.Contains(all, r.Jurisdiction) {
			all = append(all, r.Jurisdiction)
		}
	}
	return all
}

type conditions = map[string]map[string][]string

// ServiceControl returns the service control policy of a jurisdiction.
func ServiceControl(d *domicile.Deployment, law string) access.Policy {
	return access.PolicyOf(slices.Concat(reach(law), copies(d), places(d, law), []access.Statement{tagsStay()})...)
}

const (
	resourceClass = "aws:ResourceTag/" + domicile.TagClass
	resourceLaw   = "aws:ResourceTag/" + domicile.TagJurisdiction
	principalLaw  = "aws:PrincipalTag/" + domicile.TagJurisdiction
)

// guarded are the classes that do not leave a jurisdiction.
func guarded() []string { return []string{string(access.PII), string(access.Regional)} }

// reach keeps roles of one jurisdiction from data of another.
func reach(law string) []access.Statement {
	return []access.Statement{
		// A role of this jurisdiction stays with its own data, wherever else a policy lets it.
		deny("OwnJurisdictionOnly", dataActions(), nil, conditions{
			"StringEquals":    {resourceClass: guarded(), principalLaw: {law}},
			"StringNotEquals": {resourceLaw: {law}},
		}),
		// A role of another jurisdiction does not come to this one's data.
		deny("NoOtherJurisdiction", dataActions(), nil, conditions{
			"StringEquals":    {resourceClass: guarded(), resourceLaw: {law}},
			"StringNotEquals": {principalLaw: {law}},
			"Null":            {principalLaw: {"false"}},
		}),
		// Sealed messages go to this jurisdiction's queues alone; events, of class REGIONAL at most, are projected for where they go.
		deny("SealedStays", []string{"sqs:SendMessage"}, nil, conditions{
			"StringEquals":    {resourceClass: {string(access.PII)}, principalLaw: {law}},
			"StringNotEquals": {resourceLaw: {law}},
		}),
	}
}

// copies keeps data from being carried away by a service that copies it.
func copies(d *domicile.Deployment) []access.Statement {
	tables := []access.Store{access.RegionalTable, access.KeysTable, access.ReplicaTable}
	regional := make([]string, 0, len(tables))
	for _, table := range tables {
		regional = append(regional, "arn:aws:dynamodb:*:*:table/"+d.Name()+"-"+string(table))
	}
	return []access.Statement{
		// Tables of a class above GLOBAL stay in one region: no replica, no stream to Kinesis, no export, no backup by another service.
		deny("NoCopiesOfTables", []string{
			"dynamodb:AssociateTableReplica", "dynamodb:CreateGlobalTable", "dynamodb:CreateTableReplica",
			"dynamodb:EnableKinesisStreamingDestination", "dynamodb:ExportTableToPointInTime", "dynamodb:StartAwsBackupJob",
			"dynamodb:UpdateGlobalTable",
		}, regional, nil),
		// The directory may be anywhere that the topology has a region, and nowhere else.
		deny("ReplicasWhereRegionsAre", []string{"dynamodb:CreateTableReplica"}, nil, conditions{
			"StringNotEquals": {"aws:RequestedRegion": allRegions(d)},
		}),
		deny("NoCopiesOfObjects", []string{"s3:PutInventoryConfiguration", "s3:PutReplicationConfiguration", "s3:ReplicateObject"}, nil, nil),
		deny("KeysStay", []string{"kms:ReplicateKey", "kms:UpdatePrimaryRegion"}, nil, nil),
	}
}

// places keeps what is made for a jurisdiction, and what is restored of it, in its regions.
func places(d *domicile.Deployment, law string) []access.Statement {
	var here []string
	for _, r := range d.Regions() {
		if r.Jurisdiction == law {
			here = append(here, r.ID)
		}
	}
	return []access.Statement{
		deny("OwnRegionsOnly", []string{"dynamodb:CreateTable", "kms:CreateKey", "sqs:CreateQueue"}, nil, conditions{
			"StringEquals":    {"aws:RequestTag/" + domicile.TagJurisdiction: {law}, "aws:RequestTag/" + domicile.TagClass: guarded()},
			"StringNotEquals": {"aws:RequestedRegion": here},
		}),
		deny("RestoreAtHome", []string{"dynamodb:RestoreTableFromBackup", "dynamodb:RestoreTableToPointInTime"}, nil, conditions{
			"StringEquals":    {resourceLaw: {law}, resourceClass: guarded()},
			"StringNotEquals": {"aws:RequestedRegion": here},
		}),
	}
}

// tagsStay leaves the tags that decide to those who deploy.
func tagsStay() access.Statement {
	return deny("TagsStay", []string{
		"dynamodb:TagResource", "dynamodb:UntagResource", "iam:TagRole", "iam:UntagRole", "kms:TagResource", "kms:UntagResource",
		"sqs:TagQueue", "sqs:UntagQueue",
	}, nil, conditions{
		"ForAnyValue:StringEquals": {"aws:TagKeys": {domicile.TagClass, domicile.TagDeployment, domicile.TagJurisdiction, domicile.TagRegion}},
		"ArnNotLike":               {"aws:PrincipalArn": {"arn:aws:iam::*:role/cdk-*-cfn-exec-role-*"}},
	})
}

func allRegions(d *domicile.Deployment) []string {
	regions := d.Regions()
	all := make([]string, len(regions))
	for i, r := range regions {
		all[i] = r.ID
	}
	return all
}

func deny(sid string, actions, resources []string, c conditions) access.Statement {
	if resources == nil {
		resources = []string{"*"}
	}
	return access.Statement{Sid: sid, Effect: "Deny", Action: actions, Resource: resources, Condition: c}
}

// dataActions are the actions that read, write or open content, of services whose resources carry tags into a decision.
func dataActions() []string {
	return []string{
		"dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:GetRecords",
		"dynamodb:PartiQLDelete", "dynamodb:PartiQLInsert", "dynamodb:PartiQLSelect", "dynamodb:PartiQLUpdate", "dynamodb:PutItem",
		"dynamodb:Query", "dynamodb:Scan", "dynamodb:UpdateItem", "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey",
		"kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo", "sqs:ReceiveMessage",
	}
}
