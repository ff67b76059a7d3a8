-- What the role of otad and otactl may do, when it is not the owner of the tables: what their statements need, and
-- nothing else. Run by `otactl migrate --owner` behind the migrations, in one transaction, :"role" replaced.

revoke all on all tables in schema public from public, :"role";
revoke all on all sequences in schema public from public, :"role";
revoke create on schema public from public, :"role";
do $$ begin
	execute format('revoke create, temporary on database %I from public', current_database());
end $$;

grant usage on schema public to :"role";
grant execute on function partitions_maintain(bigint, int) to :"role";
grant usage on sequence audit_id, task_event_no to :"role";

-- Never read, never changed.
grant insert on audit to :"role";

-- Read.
grant select on schema_migration, task_now, device_shown, device_group_device, device_group_tally, job_shown to :"role";

-- Written once.
grant select, insert on instance, nonce, firmware_file, job_target, task_event, machine, push_log, device_deleted to :"role";

-- Changed, never deleted. Of an account nothing is changed: its row is a lock, which asks for the right to update.
grant select, insert, update on account, access_key, service_account, product, device_tags, device_group, firmware, job,
	job_run, job_order, task, task_tally, engine_lease, credential_feed, journal_position, master_key_check to :"role";

-- Made and deleted.
grant select, insert, delete on credential_change, device_group_member, live_job, job_choosing, active_task, timer,
	strategy_check, version_before, notice to :"role";

-- Made, changed and deleted.
grant select, insert, update, delete on module, device, device_module, device_session, device_group_tag, device_apply,
	strategy, push_batch, device_tally to :"role";
