package kms

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// Open is New, and asks KMS whether the key can do its work: that it is there, enabled, for symmetric encryption, in its region, and
// not a multi-Region key, of which another region could hold a replica that opens what is wrapped here. It fails with a *KeyError. It
// needs kms:DescribeKey besides.
func Open(ctx context.Context, cfg Config) (*Wrapper, error) {
	w, err := New(cfg)
	if err != nil {
		return nil, err
	}
	var found *types.KeyMetadata
	if err := w.key.call(ctx, "DescribeKey", func(ctx context.Context) error {
		out, err := w.key.client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &w.key.cfg.Key})
		if err == nil {
			found = out.KeyMetadata
		}
		return err //nolint:wrapcheck // call translates it
	}); err != nil {
		return nil, err
	}
	if reason, detail := unfit(found, string(cfg.Region)); reason != "" {
		return nil, &KeyError{Reason: reason, Operation: "DescribeKey", Region: cfg.Region, Key: cfg.Key, Detail: detail}
	}
	return w, nil
}

// unfit says what is wrong with a key; an empty reason when nothing is.
func unfit(found *types.KeyMetadata, region string) (Reason, string) {
	if found == nil {
		return Refused, "KMS says nothing about it"
	}
	switch found.KeyState {
	case types.KeyStateEnabled:
	case types.KeyStateDisabled:
		return Disabled, ""
	case types.KeyStatePendingDeletion, types.KeyStatePendingReplicaDeletion:
		return PendingDeletion, ""
	default:
		return BadState, "it is " + string(found.KeyState)
	}
	name, err := arn.Parse(aws.ToString(found.Arn))
	switch {
	case found.KeyUsage != types.KeyUsageTypeEncryptDecrypt:
		return Unsuitable, "its usage is " + string(found.KeyUsage)
	case found.KeySpec != types.KeySpecSymmetricDefault:
		return Unsuitable, "its type is " + string(found.KeySpec)
	case err != nil || name.Region != region || !strings.HasPrefix(name.Resource, "key/"):
		return Unsuitable, "it is " + aws.ToString(found.Arn)
	case aws.ToBool(found.MultiRegion):
		return Unsuitable, "it is a multi-Region key, which could be replicated to another jurisdiction"
	}
	return "", ""
}
