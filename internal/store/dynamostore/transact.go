package dynamostore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// evaluator makes the expression of a condition.
type evaluator func(c store.Condition) expression

// commitAll makes a transaction of a commit without a token.
func (s *Store) commitAll(ctx context.Context, c store.Commit) error {
	now := s.now()
	err := s.transact(ctx, rand.Text(), c.Ops, func(c store.Condition) expression { return conditionAt(c, now) })
	refused, ok := errors.AsType[*refusedError](err)
	if !ok {
		return err
	}
	reasons, err := s.readReasons(c.Ops, refused, now)
	if err != nil {
		return err
	}
	return reasons.refusal()
}

// maxRemovals bounds how often a commit is sent again because an item that had ended was in its way.
const maxRemovals = 8

// commitNamed makes a transaction of a commit with a token. Whatever is sent is the same at each repetition, so that DynamoDB knows it.
func (s *Store) commitNamed(ctx context.Context, c store.Commit) error {
	token := s.requestToken(c.Token)
	for range maxRemovals {
		now := s.now()
		err := s.transactNamed(ctx, token, c.Ops, now/boundSeconds)
		refused, ok := errors.AsType[*refusedError](err)
		if !ok {
			return err
		}
		reasons, err := s.readReasons(c.Ops, refused, now)
		if err != nil {
			return err
		}
		if reasons.failed() {
			return reasons.refusal()
		}
		for _, key := range reasons.ended {
			if err := s.removeEnded(ctx, key, now); err != nil {
				return err
			}
		}
	}
	return &UnavailableError{
		Op: "commit", Table: s.cfg.Table, Attempts: maxRemovals,
		Err: errors.New("items that have ended are put under its keys again and again"),
	}
}

// transactNamed sends the transaction as it is in this minute. If DynamoDB knows the token from another request, it may be this commit's
// first sending in another minute: those of the token's life are tried, and one more for a clock that is ahead.
func (s *Store) transactNamed(ctx context.Context, token string, ops []store.Op, minute int64) error {
	timed := slices.ContainsFunc(ops, func(op store.Op) bool { return op.If.Kind() == store.KindVersionIs })
	minutes := []int64{minute}
	if timed {
		for back := range int64(store.TokenLife.Seconds()) / boundSeconds {
			minutes = append(minutes, minute-back-1)
		}
		minutes = append(minutes, minute+1)
	}
	var err error
	for _, m := range minutes {
		err = s.transact(ctx, token, ops, func(c store.Condition) expression { return namedCondition(c, m*boundSeconds) })
		if _, mismatch := errors.AsType[*types.IdempotentParameterMismatchException](err); !mismatch {
			return err
		}
	}
	return err
}

// requestToken is DynamoDB's name for a commit's token. It remembers tokens of an account and takes text only; ours are a table's own, of
// any bytes.
func (s *Store) requestToken(token string) string {
	sum := sha256.Sum256([]byte(s.cfg.Table + "\x00" + token))
	return base64.RawURLEncoding.EncodeToString(sum[:27]) // 36 characters, which is the limit.
}

// transact sends a transaction. A cancellation because of conditions is a *refusedError, everything else is explained.
func (s *Store) transact(ctx context.Context, token string, ops []store.Op, eval evaluator) error {
	in := &dynamodb.TransactWriteItemsInput{ClientRequestToken: &token}
	for _, op := range ops {
		in.TransactItems = append(in.TransactItems, s.transactItem(op, eval(op.If)))
	}
	t, err := s.call(ctx, request{op: "commit", effect: once, send: func(ctx context.Context) error {
		_, err := s.cfg.Client.TransactWriteItems(ctx, in, single, canonical)
		return err
	}})
	if err == nil || isUnavailable(err) {
		return err
	}
	if canceled, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		return s.explainCanceled(canceled) // The token says that no attempt before took effect either.
	}
	err = s.explain("commit", err)
	if t.doubt {
		return s.unavailable(ctx, t, err)
	}
	return err
}

func (s *Store) transactItem(op store.Op, e expression) types.TransactWriteItem {
	switch op.Kind {
	case store.Put:
		return types.TransactWriteItem{Put: &types.Put{
			TableName: &s.cfg.Table, Item: marshalItem(op.Item), ReturnValuesOnConditionCheckFailure: returnOld,
			ConditionExpression: e.text, ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
		}}
	case store.Delete:
		return types.TransactWriteItem{Delete: &types.Delete{
			TableName: &s.cfg.Table, Key: marshalKey(op.Item.Key), ReturnValuesOnConditionCheckFailure: returnOld,
			ConditionExpression: e.text, ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
		}}
	default:
		return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
			TableName: &s.cfg.Table, Key: marshalKey(op.Item.Key), ReturnValuesOnConditionCheckFailure: returnOld,
			ConditionExpression: e.text, ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
		}}
	}
}

// explainCanceled explains a cancellation that is not because of conditions.
func (s *Store) explainCanceled(err *types.TransactionCanceledException) error {
	conditions := false
	for _, r := range err.CancellationReasons {
		text := ""
		if r.Message != nil {
			text = *r.Message
		}
		switch code(r) {
		case "None":
		case "ConditionalCheckFailed":
			conditions = true
		case "ItemCollectionSizeLimitExceeded":
			return fmt.Errorf("%w: %w", store.ErrFull, err)
		case "ValidationError":
			if strings.Contains(strings.ToLower(text), "size") {
				return fmt.Errorf("%w: %s: %w", store.ErrTooLarge, text, err)
			}
			return fmt.Errorf("%w: %s: %w", store.ErrInvalid, text, err)
		default:
			return fmt.Errorf("dynamostore: commit on the table %s: %s: %s: %w", s.cfg.Table, code(r), text, err)
		}
	}
	if conditions {
		return &refusedError{err.CancellationReasons}
	}
	return fmt.Errorf("dynamostore: commit on the table %s: %w", s.cfg.Table, err)
}

// refusedError carries the reasons of a transaction that was canceled because of nothing but conditions.
type refusedError struct{ reasons []types.CancellationReason }

func (e *refusedError) Error() string {
	return fmt.Sprintf("dynamostore: a transaction of %d operations was refused", len(e.reasons))
}

// reasons are why a transaction was canceled.
type reasons struct {
	store.ConditionError

	// ended are the keys of items that have ended, which conditions without a time took for present.
	ended []store.Key
}

func (r *reasons) failed() bool { return slices.Contains(r.Failed, true) }

func (r *reasons) refusal() error { return &r.ConditionError }

// readReasons says which conditions do not hold, items that have ended counting as absent.
func (s *Store) readReasons(ops []store.Op, refused *refusedError, now int64) (*reasons, error) {
	if len(refused.reasons) != len(ops) {
		return nil, fmt.Errorf("dynamostore: %d reasons for %d operations", len(refused.reasons), len(ops))
	}
	r := &reasons{ConditionError: store.ConditionError{Failed: make([]bool, len(ops)), Stored: make([]ident.Version, len(ops))}}
	for i, reason := range refused.reasons {
		if code(reason) != "ConditionalCheckFailed" {
			continue
		}
		h, present, err := s.header(reason.Item, now)
		if err != nil {
			return nil, err
		}
		if !present && len(reason.Item) > 0 && ops[i].If.Holds(false, ident.Version{}) {
			r.ended = append(r.ended, ops[i].Item.Key)
			continue
		}
		r.Failed[i], r.Stored[i] = true, h.version
	}
	return r, nil
}

// removeEnded removes an item that has ended, as DynamoDB would some time later. It does nothing if there is another one by now.
func (s *Store) removeEnded(ctx context.Context, key store.Key, now int64) error {
	in := &dynamodb.DeleteItemInput{
		TableName: &s.cfg.Table, Key: marshalKey(key), ConditionExpression: new("#ttl <= :now"),
		ExpressionAttributeNames: map[string]string{"#ttl": attrTTL}, ExpressionAttributeValues: attributes{":now": numberValue(now)},
	}
	_, err := s.call(ctx, request{op: "removing an expired item", effect: reads, send: func(ctx context.Context) error {
		_, err := s.cfg.Client.DeleteItem(ctx, in, single)
		return err
	}})
	_, replaced := errors.AsType[*types.ConditionalCheckFailedException](err)
	if err == nil || replaced || isUnavailable(err) {
		if replaced {
			return nil
		}
		return err
	}
	return s.explain("commit", err)
}
