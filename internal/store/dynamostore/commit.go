package dynamostore

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// Commit implements store.Store with one request.
func (s *Store) Commit(ctx context.Context, c store.Commit) error {
	if err := errors.Join(c.Validate(), ctx.Err()); err != nil {
		return err
	}
	switch {
	case c.Token != "":
		return s.commitNamed(ctx, c)
	case len(c.Ops) == 1:
		return s.commitOne(ctx, c.Ops[0])
	default:
		return s.commitAll(ctx, c)
	}
}

// commitOne makes one operation without a transaction.
func (s *Store) commitOne(ctx context.Context, op store.Op) error {
	if op.Kind == store.Check {
		return s.check(ctx, op)
	}
	now := s.now()
	r := request{op: "commit", effect: again}
	if settled(op, now) {
		r.effect = once
	}
	e := conditionAt(op.If, now)
	if op.Kind == store.Put {
		in := &dynamodb.PutItemInput{
			TableName: &s.cfg.Table, Item: marshalItem(op.Item), ReturnValuesOnConditionCheckFailure: returnOld,
			ConditionExpression: e.text, ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
		}
		r.send = func(ctx context.Context) error { _, err := s.cfg.Client.PutItem(ctx, in, single); return err }
	} else {
		in := &dynamodb.DeleteItemInput{
			TableName: &s.cfg.Table, Key: marshalKey(op.Item.Key), ReturnValuesOnConditionCheckFailure: returnOld,
			ConditionExpression: e.text, ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
		}
		r.send = func(ctx context.Context) error { _, err := s.cfg.Client.DeleteItem(ctx, in, single); return err }
	}
	t, err := s.call(ctx, r)
	refusal, refused := errors.AsType[*types.ConditionalCheckFailedException](err)
	switch {
	case err == nil || isUnavailable(err):
		return err
	case refused && t.doubt:
		return s.unavailable(ctx, t, err) // Perhaps it was this commit's own effect that the condition met.
	case refused:
		stored, err := s.storedVersion(refusal.Item, now)
		if err != nil {
			return err
		}
		return refusedOne(stored)
	case t.doubt:
		return s.unavailable(ctx, t, s.explain(r.op, err))
	default:
		return s.explain(r.op, err)
	}
}

const returnOld = types.ReturnValuesOnConditionCheckFailureAllOld

// settled tells whether an operation's condition, asked at a time, cannot hold any more once the operation took effect, so that sending
// it again is safe.
func settled(op store.Op, now int64) bool {
	present := op.Kind == store.Put && (op.Item.Expires.IsZero() || unixExpiry(op.Item.Expires) > now)
	return !op.If.Holds(present, op.Item.Version)
}

// check is a commit of one check: a consistent read.
func (s *Store) check(ctx context.Context, op store.Op) error {
	attrs, err := s.getItem(ctx, &dynamodb.GetItemInput{
		Key: marshalKey(op.Item.Key), ProjectionExpression: new("#version, #ttl"),
		ExpressionAttributeNames: map[string]string{"#version": attrVersion, "#ttl": attrTTL},
	})
	if err != nil {
		return err
	}
	h, present, err := s.header(attrs, s.now())
	if err != nil {
		return err
	}
	if !op.If.Holds(present, h.version) {
		return refusedOne(h.version)
	}
	return nil
}

func refusedOne(stored ident.Version) error {
	return &store.ConditionError{Failed: []bool{true}, Stored: []ident.Version{stored}}
}

// header reads what conditions need of a stored item; present is false, and the header zero, when there is none or it has ended.
func (s *Store) header(attrs attributes, now int64) (h header, present bool, err error) {
	if len(attrs) == 0 {
		return header{}, false, nil
	}
	if h, err = unmarshalHeader(attrs); err != nil {
		return header{}, false, fmt.Errorf("the table %s: %w", s.cfg.Table, err)
	}
	if h.expired(now) {
		return header{}, false, nil
	}
	return h, true, nil
}

// storedVersion is the version of a stored item; zero when there is none or it has ended.
func (s *Store) storedVersion(attrs attributes, now int64) (ident.Version, error) {
	h, _, err := s.header(attrs, now)
	return h.version, err
}
