output "role_arn" {
  description = "role-to-assume of aws-actions/configure-aws-credentials."
  value       = aws_iam_role.this.arn
}

output "instance_profile_name" {
  description = "What the daemon's EC2 instance is started with; null in mode launch."
  value       = one(aws_iam_instance_profile.daemon[*].name)
}

output "security_group_id" {
  description = "--security-group, where the name is not enough; null if none was made."
  value       = one(aws_security_group.machines[*].id)
}

output "log_group" {
  description = "Null if none was made."
  value       = one(aws_cloudwatch_log_group.this[*].name)
}

output "queue_url" {
  description = "Null if none was made."
  value       = one(aws_sqs_queue.interruptions[*].url)
}
