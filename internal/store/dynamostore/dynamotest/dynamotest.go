// Package dynamotest makes DynamoDB tables as the infrastructure makes them, for tests, and stands in for DynamoDB where a test
// needs what an emulator does not do. Only tests import it.
package dynamotest

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
)

// Region is where tables are made that do not say where.
const Region = "eu-central-1"

// Options say how a table differs from one of a region: on demand, keys pk and sk, expiry by ttl, a stream of keys, schema 1.
type Options struct {
	// Region is an AWS region; default: Region.
	Region string
	// Prefix is what the table's name begins with; default: "domicile-test".
	Prefix string
	// View is what the table's stream shows; default: the keys.
	View types.StreamViewType
	// NoStream, NoTTL and NoSchema leave out the stream, the expiry or the tag of the schema version.
	NoStream, NoTTL, NoSchema bool
	// Sort is the name of the sort key; default: "sk".
	Sort string
	// Replicas are more regions, which make the table a global one.
	Replicas []string
}

// Table is a table of a test, and clients of its region.
type Table struct {
	Name    string
	Client  *dynamodb.Client
	Streams *dynamodbstreams.Client
}

// NewTable makes an empty table and removes it when the test ends. It fails the test when AWS_ENDPOINT_URL is not set, so that no test
// runs against an account by mistake.
func NewTable(t testing.TB, o Options) Table {
	t.Helper()
	table := Clients(t, o.Region)
	if o.Prefix == "" {
		o.Prefix = "domicile-test"
	}
	if o.Sort == "" {
		o.Sort = "sk"
	}
	if o.View == "" {
		o.View = types.StreamViewTypeKeysOnly
	}
	table.Name = o.Prefix + "-" + strings.ToLower(rand.Text()[:12])
	in := createInput(table.Name, o)
	if _, err := table.Client.CreateTable(t.Context(), in); err != nil {
		t.Fatalf("creating the table %s: %v", table.Name, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := table.Client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &table.Name}); err != nil {
			t.Errorf("removing the table %s: %v", table.Name, err)
		}
	})
	waiter := dynamodb.NewTableExistsWaiter(table.Client, func(w *dynamodb.TableExistsWaiterOptions) { w.MinDelay = 10 * time.Millisecond })
	if err := waiter.Wait(t.Context(), &dynamodb.DescribeTableInput{TableName: &table.Name}, time.Minute); err != nil {
		t.Fatalf("waiting for the table %s: %v", table.Name, err)
	}
	if !o.NoTTL {
		_, err := table.Client.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{
			TableName:               &table.Name,
			TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("ttl"), Enabled: aws.Bool(true)},
		})
		if err != nil {
			t.Fatalf("setting the expiry of the table %s: %v", table.Name, err)
		}
	}
	for _, region := range o.Replicas {
		_, err := table.Client.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{TableName: &table.Name, ReplicaUpdates: []types.ReplicationGroupUpdate{
			{Create: &types.CreateReplicationGroupMemberAction{RegionName: &region}},
		}})
		if err != nil {
			t.Fatalf("adding a replica of the table %s in %s: %v", table.Name, region, err)
		}
	}
	return table
}

// Clients returns clients of a region (default: Region) that connect to AWS_ENDPOINT_URL, without a table.
func Clients(t testing.TB, region string) Table {
	t.Helper()
	if os.Getenv("AWS_ENDPOINT_URL") == "" {
		t.Fatal("AWS_ENDPOINT_URL is not set: start LocalStack with infra/local/localstack.sh and set it to http://127.0.0.1:4566")
	}
	if region == "" {
		region = Region
	}
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion(region))
	if err != nil {
		t.Fatalf("reading the AWS configuration: %v", err)
	}
	return Table{Client: dynamodb.NewFromConfig(cfg), Streams: dynamodbstreams.NewFromConfig(cfg)}
}

func createInput(name string, o Options) *dynamodb.CreateTableInput {
	in := &dynamodb.CreateTableInput{
		TableName:   &name,
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeB},
			{AttributeName: &o.Sort, AttributeType: types.ScalarAttributeTypeB},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash},
			{AttributeName: &o.Sort, KeyType: types.KeyTypeRange},
		},
	}
	if !o.NoStream {
		in.StreamSpecification = &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: o.View}
	}
	if !o.NoSchema {
		in.Tags = []types.Tag{{Key: aws.String("domicile:schema"), Value: aws.String("1")}}
	}
	return in
}
