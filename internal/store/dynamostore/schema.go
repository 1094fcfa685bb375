package dynamostore

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// A table says in a tag which layout its items have.
const (
	schemaTag     = "domicile:schema"
	schemaVersion = "1"
)

// checkSchema looks at the table.
func (s *Store) checkSchema(ctx context.Context) error {
	table, err := s.describe(ctx)
	if err != nil {
		return err
	}
	if problem := schemaProblem(table); problem != "" {
		return &SchemaError{Table: s.cfg.Table, Problem: problem}
	}
	if s.cfg.Streams != nil && table.LatestStreamArn == nil {
		return &SchemaError{Table: s.cfg.Table, Problem: "has no stream"}
	}
	if err := s.checkExpiry(ctx); err != nil {
		return err
	}
	return s.checkTag(ctx, table.TableArn)
}

// describe returns what DynamoDB says of the table.
func (s *Store) describe(ctx context.Context) (*types.TableDescription, error) {
	var out *dynamodb.DescribeTableOutput
	err := s.ask(ctx, "describing", func(ctx context.Context) (err error) {
		out, err = s.cfg.Client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &s.cfg.Table}, single)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out.Table, nil
}

func schemaProblem(t *types.TableDescription) string {
	switch t.TableStatus {
	case types.TableStatusActive, types.TableStatusUpdating:
	default:
		return "is not ready: its status is " + string(t.TableStatus)
	}
	want := []struct {
		name string
		role types.KeyType
	}{{attrPartition, types.KeyTypeHash}, {attrSort, types.KeyTypeRange}}
	if len(t.KeySchema) != len(want) {
		return "has other keys than pk and sk"
	}
	binary := map[string]bool{}
	for _, d := range t.AttributeDefinitions {
		binary[*d.AttributeName] = d.AttributeType == types.ScalarAttributeTypeB
	}
	for i, k := range t.KeySchema {
		if *k.AttributeName != want[i].name || k.KeyType != want[i].role || !binary[want[i].name] {
			return "has other keys than pk and sk, both binary"
		}
	}
	return ""
}

// checkExpiry makes sure that DynamoDB removes what has ended.
func (s *Store) checkExpiry(ctx context.Context) error {
	var out *dynamodb.DescribeTimeToLiveOutput
	err := s.ask(ctx, "describing the expiry", func(ctx context.Context) (err error) {
		out, err = s.cfg.Client.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &s.cfg.Table}, single)
		return err
	})
	if err != nil {
		return err
	}
	ttl := out.TimeToLiveDescription
	on := ttl != nil && (ttl.TimeToLiveStatus == types.TimeToLiveStatusEnabled || ttl.TimeToLiveStatus == types.TimeToLiveStatusEnabling)
	if !on || ttl.AttributeName == nil || *ttl.AttributeName != attrTTL {
		return &SchemaError{Table: s.cfg.Table, Problem: "does not remove expired items by the attribute ttl"}
	}
	return nil
}

// checkTag compares the number of the layout.
func (s *Store) checkTag(ctx context.Context, arn *string) error {
	in := &dynamodb.ListTagsOfResourceInput{ResourceArn: arn}
	for {
		var out *dynamodb.ListTagsOfResourceOutput
		err := s.ask(ctx, "listing the tags", func(ctx context.Context) (err error) {
			out, err = s.cfg.Client.ListTagsOfResource(ctx, in, single)
			return err
		})
		if err != nil {
			return err
		}
		for _, tag := range out.Tags {
			switch {
			case *tag.Key != schemaTag:
			case *tag.Value == schemaVersion:
				return nil
			default:
				return &SchemaError{Table: s.cfg.Table, Problem: fmt.Sprintf("has the schema version %q, and this release needs %q", *tag.Value, schemaVersion)}
			}
		}
		if out.NextToken == nil || *out.NextToken == "" {
			return &SchemaError{Table: s.cfg.Table, Problem: "has no tag " + schemaTag}
		}
		in.NextToken = out.NextToken
	}
}
