//go:build aws

package aws_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/domicile-api/domicile/internal/deployment"
	"github.com/domicile-api/domicile/internal/topology"
)

// account is the emulator's.
const account = "000000000000"

// schemaTag is the tag by which tables and queues say which release they are for.
const schemaTag = "domicile:schema"

// spec says what is made for a deployment: what the stacks of infra/ make, so far as programs use it.
type spec struct {
	topology *topology.Topology
	// without are resources that are left out: names of deployment.Names.
	without func(n deployment.Names) []string
	// schema is the schema version of tables and queues, by name; default: 1.
	schema func(n deployment.Names) map[string]string
}

// deployed is a deployment's resources.
type deployed struct {
	names    deployment.Names
	topology *topology.Topology
	clouds   map[string]cloud
	left     []string
	schema   map[string]string
}

// deploy makes a deployment and removes it when the test ends.
func deploy(t testing.TB, s spec) *deployed {
	t.Helper()
	names, err := deployment.New("e2e-" + strings.ToLower(rand.Text()[:12]))
	if err != nil {
		t.Fatal(err)
	}
	d := &deployed{names: names, topology: s.topology, clouds: make(map[string]cloud)}
	if s.without != nil {
		d.left = s.without(names)
	}
	if s.schema != nil {
		d.schema = s.schema(names)
	}
	for _, id := range s.topology.IDs() {
		d.clouds[string(id)] = in(t, string(id))
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		_ = d.each(func(i topology.Index) error { // What could not be removed, remove has said.
			d.remove(ctx, i)
			return nil
		})
	})
	began := time.Now()
	if err := errors.Join(d.makeDirectory(t.Context()), d.each(func(i topology.Index) error { return d.make(t.Context(), i) })); err != nil {
		t.Fatalf("making the deployment %s: %v", names.Deployment(), err)
	}
	t.Logf("the deployment %s in %d regions was made in %v", names.Deployment(), len(d.clouds), time.Since(began).Round(time.Millisecond))
	return d
}

// each does something for all regions at once.
func (d *deployed) each(do func(topology.Index) error) error {
	var wg sync.WaitGroup
	errs := make([]error, d.topology.Len())
	for n, i := range d.topology.Regions() {
		wg.Go(func() {
			if err := do(i); err != nil {
				errs[n] = fmt.Errorf("%s: %w", d.topology.ID(i), err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (d *deployed) in(region string) cloud { return d.clouds[region] }

func (d *deployed) at(i topology.Index) cloud { return d.clouds[string(d.topology.ID(i))] }

func (d *deployed) has(name string) bool { return !slices.Contains(d.left, name) }

func (d *deployed) version(name string) string {
	if v, ok := d.schema[name]; ok {
		return v
	}
	return "1"
}

// makeDirectory makes the global table: in the control region first, where the global stack is.
func (d *deployed) makeDirectory(ctx context.Context) error {
	control, name := d.topology.Control(), d.names.Table("directory")
	if !d.has(name) {
		return nil
	}
	if err := d.makeTable(ctx, control, name, types.StreamViewTypeNewAndOldImages); err != nil {
		return err
	}
	for _, i := range d.topology.Regions() {
		if i == control {
			continue
		}
		region := string(d.topology.ID(i))
		_, err := d.at(control).dynamo.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: &name, ReplicaUpdates: []types.ReplicationGroupUpdate{
			{Create: &types.CreateReplicationGroupMemberAction{RegionName: &region}},
		}})
		if err != nil {
			return fmt.Errorf("adding a replica of %s in %s: %w", name, region, err)
		}
		// A replica has tags of its own.
		table, err := d.at(i).dynamo.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
		if err != nil {
			return fmt.Errorf("finding the replica of %s in %s: %w", name, region, err)
		}
		_, err = d.at(i).dynamo.TagResource(ctx, &dynamodb.TagResourceInput{ResourceArn: table.Table.TableArn, Tags: d.tags(name)})
		if err != nil {
			return fmt.Errorf("tagging the replica of %s in %s: %w", name, region, err)
		}
	}
	return nil
}

func (d *deployed) tags(name string) []types.Tag {
	return []types.Tag{{Key: aws.String(schemaTag), Value: aws.String(d.version(name))}}
}

func (d *deployed) makeTable(ctx context.Context, i topology.Index, name string, stream types.StreamViewType) error {
	in := &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest, Tags: d.tags(name),
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeB},
			{AttributeName: aws.String("sk"), AttributeType: types.ScalarAttributeTypeB},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String("sk"), KeyType: types.KeyTypeRange},
		},
	}
	if stream != "" {
		in.StreamSpecification = &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: stream}
	}
	client := d.at(i).dynamo
	if _, err := client.CreateTable(ctx, in); err != nil {
		return fmt.Errorf("making the table %s: %w", name, err)
	}
	waiter := dynamodb.NewTableExistsWaiter(client, func(w *dynamodb.TableExistsWaiterOptions) { w.MinDelay = 10 * time.Millisecond })
	if err := waiter.Wait(ctx, &dynamodb.DescribeTableInput{TableName: &name}, time.Minute); err != nil {
		return fmt.Errorf("waiting for the table %s: %w", name, err)
	}
	_, err := client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName: &name, TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("ttl"), Enabled: aws.Bool(true)},
	})
	if err != nil {
		return fmt.Errorf("setting the expiry of the table %s: %w", name, err)
	}
	return nil
}

// tablesOf are the tables of a region with what their streams show.
func tablesOf() map[string]types.StreamViewType {
	return map[string]types.StreamViewType{
		"regional": types.StreamViewTypeKeysOnly, "replica": types.StreamViewTypeKeysOnly, "keys": "", "settings": "",
	}
}

// queuesOf are the queues of a region: one for sealed entities only where another region of its jurisdiction may send any.
func queuesOf(t *topology.Topology, region topology.Index) []string {
	for _, other := range t.Regions() {
		if other != region && t.SameJurisdiction(region, other) {
			return []string{"events", "sealed"}
		}
	}
	return []string{"events"}
}

// make makes all that is a region's own.
func (d *deployed) make(ctx context.Context, i topology.Index) error {
	for table, stream := range tablesOf() {
		if name := d.names.Table(table); d.has(name) {
			if err := d.makeTable(ctx, i, name, stream); err != nil {
				return err
			}
		}
	}
	for _, queue := range queuesOf(d.topology, i) {
		if err := d.makeQueue(ctx, i, queue); err != nil {
			return err
		}
	}
	return errors.Join(d.makeKey(ctx, i), d.makeSecrets(ctx, i), d.makeBucket(ctx, i))
}

// visibility is how long a message that a function did not finish is out of sight, in seconds: less than in production, so that tests see it again.
const visibility = "6"

// maxReceives is how often a message is received before it is a dead letter: more often than in production, because a test that looks at what lies in
// a queue receives it too, as an audit does.
const maxReceives = 12

func (d *deployed) makeQueue(ctx context.Context, i topology.Index, queue string) error {
	client, dead, name := d.at(i).sqs, d.names.DeadQueue(queue), d.names.Queue(queue)
	attributes := map[string]string{
		"FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId", "MaximumMessageSize": "1048576",
		"VisibilityTimeout": visibility,
	}
	arn := "arn:aws:sqs:" + string(d.topology.ID(i)) + ":" + account + ":" + dead
	if d.has(dead) {
		tags := map[string]string{schemaTag: d.version(dead)}
		if _, err := client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &dead, Attributes: attributes, Tags: tags}); err != nil {
			return fmt.Errorf("making the queue %s: %w", dead, err)
		}
		redrive, err := json.Marshal(map[string]any{"deadLetterTargetArn": arn, "maxReceiveCount": maxReceives})
		if err != nil {
			return fmt.Errorf("making the redrive policy of %s: %w", name, err)
		}
		attributes["RedrivePolicy"] = string(redrive)
	}
	if !d.has(name) {
		return nil
	}
	tags := map[string]string{schemaTag: d.version(name)}
	if _, err := client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes, Tags: tags}); err != nil {
		return fmt.Errorf("making the queue %s: %w", name, err)
	}
	return nil
}

func (d *deployed) makeKey(ctx context.Context, i topology.Index) error {
	alias := d.names.TenantsKey()
	if !d.has(alias) {
		return nil
	}
	key, err := d.at(i).kms.CreateKey(ctx, &kms.CreateKeyInput{})
	if err != nil {
		return fmt.Errorf("making the key %s: %w", alias, err)
	}
	if _, err := d.at(i).kms.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: key.KeyMetadata.KeyId}); err != nil {
		return fmt.Errorf("naming the key %s: %w", alias, err)
	}
	return nil
}

func (d *deployed) makeSecrets(ctx context.Context, i topology.Index) error {
	for _, name := range []string{d.names.RouteKey(), d.names.PeerKey()} {
		if !d.has(name) {
			continue
		}
		secret := rand.Text() + rand.Text()
		if _, err := d.at(i).secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: &secret}); err != nil {
			return fmt.Errorf("making the secret %s: %w", name, err)
		}
	}
	return nil
}

func (d *deployed) bucket(i topology.Index) string {
	return d.names.Snapshots(account, d.topology.ID(i))
}

func (d *deployed) makeBucket(ctx context.Context, i topology.Index) error {
	name, region := d.bucket(i), string(d.topology.ID(i))
	in := &s3.CreateBucketInput{Bucket: &name}
	if region != "us-east-1" {
		in.CreateBucketConfiguration = &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraint(region)}
	}
	if _, err := d.at(i).s3.CreateBucket(ctx, in); err != nil {
		return fmt.Errorf("making the bucket %s: %w", name, err)
	}
	return nil
}

// remove removes all of a region. What a test left out or removed itself is not there, so that failures say nothing.
func (d *deployed) remove(ctx context.Context, i topology.Index) {
	c := d.at(i)
	for _, table := range []string{"regional", "replica", "keys", "settings", "directory"} {
		name := d.names.Table(table)
		_, _ = c.dynamo.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &name})
	}
	for _, queue := range queuesOf(d.topology, i) {
		for _, name := range []string{d.names.Queue(queue), d.names.DeadQueue(queue)} {
			if url, err := queueURL(ctx, c.sqs, name); err == nil {
				_, _ = c.sqs.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: &url})
			}
		}
	}
	alias := d.names.TenantsKey()
	if key, err := c.kms.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &alias}); err == nil {
		_, _ = c.kms.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: &alias})
		_, _ = c.kms.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: key.KeyMetadata.KeyId, PendingWindowInDays: aws.Int32(7)})
	}
	for _, name := range []string{d.names.RouteKey(), d.names.PeerKey()} {
		_, _ = c.secrets.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &name, ForceDeleteWithoutRecovery: aws.Bool(true)})
	}
	bucket := d.bucket(i)
	if objects, err := c.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket}); err == nil {
		for _, o := range objects.Contents {
			_, _ = c.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: o.Key})
		}
	}
	_, _ = c.s3.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &bucket})
}

func queueURL(ctx context.Context, client *sqs.Client, name string) (string, error) {
	found, err := client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})
	if err != nil {
		return "", fmt.Errorf("finding the queue %s: %w", name, err)
	}
	return aws.ToString(found.QueueUrl), nil
}

// hide is how long a message that was received is out of sight, in seconds.
const hide = 20

// receive takes messages of a queue that are in sight, all attributes with them.
func receive(ctx context.Context, client *sqs.Client, url string) ([]sqstypes.Message, error) {
	out, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &url, MaxNumberOfMessages: 10, VisibilityTimeout: hide, MessageAttributeNames: []string{"All"},
		MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{sqstypes.MessageSystemAttributeNameAll},
	})
	if err != nil {
		return nil, fmt.Errorf("receiving of %s: %w", url, err)
	}
	return out.Messages, nil
}
