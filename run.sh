# run.sh VERSION SCRIPT ; 16, 17, 21
NAME=img$1-$$; D=/tmp/imgt/hosts/$NAME; mkdir -p $D
sed 's#mount -t tmpfs -o mode=1777 tmpfs /tmp#mkdir -p /imgt; mount --bind /tmp/imgt /imgt; &#' /tmp/imgt/fake-host > /tmp/imgt/fh
case $1 in 17) export CTD=/imgt/debs/trixie/x/usr/bin;; 21) export CTD=/imgt/debs/sid/x/usr/bin;; esac
mkdir -p /imgt
bash /tmp/imgt/fh $D $NAME bash -c ". /imgt/host.sh bash /imgt/$2"
echo "exit $?"; rm -rf $D
