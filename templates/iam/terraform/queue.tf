# EC2's notices for spot machines, in a queue. cml-runner does not read it: it asks EC2 with every look.

locals {
  notices = {
    interruption = "EC2 Spot Instance Interruption Warning"
    rebalance    = "EC2 Instance Rebalance Recommendation"
  }
  rules = var.interruption_queue ? local.notices : {}
}

resource "aws_sqs_queue" "interruptions" {
  count = var.interruption_queue ? 1 : 0

  name = "${var.name}-interruptions"
  # A notice is of no use after the two minutes that it announces.
  message_retention_seconds = 300
  sqs_managed_sse_enabled   = true
}

resource "aws_cloudwatch_event_rule" "notices" {
  for_each = local.rules

  name          = "${var.name}-${each.key}"
  event_pattern = jsonencode({ source = ["aws.ec2"], "detail-type" = [each.value] })
}

resource "aws_cloudwatch_event_target" "notices" {
  for_each = local.rules

  rule      = aws_cloudwatch_event_rule.notices[each.key].name
  target_id = "queue"
  arn       = aws_sqs_queue.interruptions[0].arn
}

resource "aws_sqs_queue_policy" "interruptions" {
  count = var.interruption_queue ? 1 : 0

  queue_url = aws_sqs_queue.interruptions[0].url
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "LetTheRulesSend"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = aws_sqs_queue.interruptions[0].arn
        Condition = {
          ArnEquals = { "aws:SourceArn" = [for rule in aws_cloudwatch_event_rule.notices : rule.arn] }
        }
      },
      {
        Sid       = "NothingInTheClear"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = aws_sqs_queue.interruptions[0].arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}
