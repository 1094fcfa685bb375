package dynamostore

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/domicile-api/domicile/internal/store"
)

// Get implements store.Store with one request.
func (s *Store) Get(ctx context.Context, key store.Key) (store.Item, error) {
	if err := errors.Join(key.Validate(), ctx.Err()); err != nil {
		return store.Item{}, err
	}
	attrs, err := s.getItem(ctx, &dynamodb.GetItemInput{Key: marshalKey(key)})
	if err != nil {
		return store.Item{}, err
	}
	if attrs == nil {
		return store.Item{}, store.ErrNotFound
	}
	it, visible, err := s.visible(attrs, s.now())
	if err != nil {
		return store.Item{}, err
	}
	if !visible {
		return store.Item{}, store.ErrNotFound
	}
	return it, nil
}

// getItem reads consistently; nil when there is no item.
func (s *Store) getItem(ctx context.Context, in *dynamodb.GetItemInput) (attributes, error) {
	in.TableName, in.ConsistentRead = &s.cfg.Table, new(true)
	var out *dynamodb.GetItemOutput
	err := s.ask(ctx, "get", func(ctx context.Context) (err error) {
		out, err = s.cfg.Client.GetItem(ctx, in, single)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

// ask calls for a read, and explains what is wrong.
func (s *Store) ask(ctx context.Context, op string, send func(ctx context.Context) error) error {
	_, err := s.call(ctx, request{op: op, effect: reads, send: send})
	if err == nil || isUnavailable(err) {
		return err
	}
	return s.explain(op, err)
}

func isUnavailable(err error) bool {
	_, is := errors.AsType[*UnavailableError](err)
	return is
}

// visible reads a stored item, unless it has ended.
func (s *Store) visible(attrs attributes, now int64) (it store.Item, visible bool, err error) {
	h, err := unmarshalHeader(attrs)
	if err == nil && !h.expired(now) {
		it, err = unmarshalItem(attrs)
		visible = err == nil
	}
	if err != nil {
		return store.Item{}, false, fmt.Errorf("the table %s: %w", s.cfg.Table, err)
	}
	return it, visible, nil
}

// Query implements store.Store with a request for each megabyte that DynamoDB reads.
func (s *Store) Query(ctx context.Context, q store.Query) (store.Page, error) {
	limit, err := q.Validate()
	if err := errors.Join(err, ctx.Err()); err != nil {
		return store.Page{}, err
	}
	in, ok := s.queryInput(q)
	if !ok {
		return store.Page{}, nil
	}
	var page store.Page
	now := s.now()
	for {
		in.Limit = new(int32(limit + 1 - len(page.Items))) //nolint:gosec // At most MaxPage + 1. One more tells whether items follow.
		var out *dynamodb.QueryOutput
		err := s.ask(ctx, "query", func(ctx context.Context) (err error) {
			out, err = s.cfg.Client.Query(ctx, in, single)
			return err
		})
		if err != nil {
			return store.Page{}, err
		}
		for _, attrs := range out.Items {
			it, visible, err := s.visible(attrs, now)
			if err != nil {
				return store.Page{}, err
			}
			if visible {
				page.Items = append(page.Items, it)
			}
		}
		if len(page.Items) > limit {
			return store.Page{Items: page.Items[:limit:limit], More: true}, nil
		}
		if len(out.LastEvaluatedKey) == 0 {
			return page, nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// queryInput returns the request for a query; ok is false when its bounds leave nothing.
func (s *Store) queryInput(q store.Query) (in *dynamodb.QueryInput, ok bool) {
	in = &dynamodb.QueryInput{
		TableName: &s.cfg.Table, ConsistentRead: new(true), ScanIndexForward: new(!q.Descending),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPartition},
		ExpressionAttributeValues: attributes{":pk": bytesValue([]byte(q.Partition))},
	}
	text := "#pk = :pk"
	from, to := lowest(q.From), highest(q.To)
	switch {
	case from != nil && to != nil && bytes.Compare(from, to) > 0:
		return nil, false
	case from != nil && to != nil:
		text += " AND #sk BETWEEN :from AND :to"
	case from != nil:
		text += " AND #sk >= :from"
	case to != nil:
		text += " AND #sk <= :to"
	}
	if from != nil {
		in.ExpressionAttributeValues[":from"] = bytesValue(from)
	}
	if to != nil {
		in.ExpressionAttributeValues[":to"] = bytesValue(to)
	}
	if from != nil || to != nil {
		in.ExpressionAttributeNames["#sk"] = attrSort
	}
	in.KeyConditionExpression = &text
	return in, true
}

// maxSort is the size of the longest sort key in DynamoDB, which takes no longer one in a condition either.
const maxSort = store.MaxSortBytes + 1

// lowest returns the lowest sort key, as it is stored, that may be from or above; nil: each.
func lowest(from string) []byte {
	if from == "" {
		return nil
	}
	sort := encodeSort(from)
	if len(sort) <= maxSort {
		return sort
	}
	// No stored key is as long as this bound. The next one is above what the longest of them has in common with it.
	last := maxSort - 1
	for sort[last] == 0xff { // The prefix is not: something is left.
		last--
	}
	sort[last]++
	return sort[:last+1]
}

// highest returns the highest sort key, as it is stored, that may be below to; nil: each.
func highest(to string) []byte {
	if to == "" {
		return nil
	}
	sort := encodeSort(to)
	last := len(sort) - 1
	if sort[last] == 0 || len(sort) > maxSort {
		return sort[:last] // What comes before a key that ends in zero, or that is too long to be one, is the key without its end.
	}
	sort[last]--
	for len(sort) < maxSort {
		sort = append(sort, 0xff)
	}
	return sort
}

// Walk implements store.Walker by scanning the table, a megabyte at a time.
func (s *Store) Walk(ctx context.Context, fn func(store.Item) error) error {
	in := &dynamodb.ScanInput{TableName: &s.cfg.Table, ConsistentRead: new(true)}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		var out *dynamodb.ScanOutput
		err := s.ask(ctx, "walk", func(ctx context.Context) (err error) {
			out, err = s.cfg.Client.Scan(ctx, in, single)
			return err
		})
		if err != nil {
			return err
		}
		now := s.now()
		for _, attrs := range out.Items {
			it, visible, err := s.visible(attrs, now)
			if err != nil {
				return err
			}
			if !visible {
				continue
			}
			if err := fn(it); err != nil {
				return err
			}
		}
		if len(out.LastEvaluatedKey) == 0 {
			return nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}
