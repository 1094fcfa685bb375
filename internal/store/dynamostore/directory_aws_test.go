//go:build aws

package dynamostore_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/directory/tabletest"
	"github.com/domicile-api/domicile/internal/store/dynamostore"
	"github.com/domicile-api/domicile/internal/store/dynamostore/dynamotest"
)

// directoryRegions have a replica in these tests; the first is where the table was made.
//
// The emulator's replicas share one copy of the data: what one writes, all have at once. So these tests prove the requests, from each
// region, and not the replication; that is the part of the embedded model, internal/store/globaltable.
func directoryRegions() []string { return []string{"us-east-1", "eu-central-1", "ap-southeast-1"} }

// openDirectories makes a global table and opens its replica in each region.
func openDirectories(t *testing.T, clock func() time.Time) []*dynamostore.Directory {
	t.Helper()
	regions := directoryRegions()
	table := dynamotest.NewTable(t, dynamotest.Options{
		Region: regions[0], Replicas: regions[1:], View: types.StreamViewTypeNewAndOldImages, Prefix: "domicile-test-directory",
	})
	all := make([]*dynamostore.Directory, 0, len(regions))
	for _, region := range regions {
		client := dynamotest.Clients(t, region).Client
		tagReplica(t, client, table.Name)
		d, err := dynamostore.OpenDirectory(t.Context(), dynamostore.DirectoryConfig{
			Config: dynamostore.Config{Table: table.Name, Client: client, Clock: clock},
		})
		if err != nil {
			t.Fatalf("opening the replica in %s: %v", region, err)
		}
		all = append(all, d)
	}
	return all
}

// tagReplica gives a replica the tag of its schema version: each has its own tags.
func tagReplica(t *testing.T, client *dynamodb.Client, name string) {
	t.Helper()
	described, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &name})
	if err != nil {
		t.Fatalf("describing a replica: %v", err)
	}
	_, err = client.TagResource(t.Context(), &dynamodb.TagResourceInput{
		ResourceArn: described.Table.TableArn, Tags: []types.Tag{{Key: aws.String("domicile:schema"), Value: aws.String("1")}},
	})
	if err != nil {
		t.Fatalf("tagging a replica: %v", err)
	}
}

func TestDirectoryConformance(t *testing.T) {
	t.Parallel()
	tabletest.Run(t, func(t *testing.T, clock func() time.Time) []directory.Table {
		t.Helper()
		opened := openDirectories(t, clock)
		replicas := make([]directory.Table, 0, len(opened))
		for _, d := range opened {
			replicas = append(replicas, d)
		}
		return replicas
	})
}
